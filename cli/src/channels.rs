//! Listeners, channels and services, as `ls` and `stat` show them.

use axonic::{ChannelEnd, ChannelInfo};

use crate::human::{bytes, label, plural, since};
use crate::table::Table;
use crate::view::View;

/// Who listens, and how many wait to be accepted.
pub(crate) fn listeners(view: &View) -> Table {
    let mut table = Table::new(["LISTENER", "BY", ">AGE", ">WAITING", "STATE"]);
    for listener in &view.snapshot.listeners {
        table.row([
            listener.name.clone(),
            view.who(&listener.participant),
            since(listener.since_unix_ms),
            listener.waiting.to_string(),
            state(view, listener.alive, &listener.participant).into(),
        ]);
    }
    table
}

/// Who provides what, and what is at work there.
pub(crate) fn services(view: &View) -> Table {
    let mut table = Table::new([
        "SERVICE", "VERSION", "PROVIDER", ">AGE", ">AT WORK", ">LIMIT", ">CALLS", ">CLIENTS", ">WAITING",
        ">UNREAD", "STATE",
    ]);
    for service in &view.snapshot.services {
        table.row([
            service.name.clone(),
            service.version.clone(),
            view.who(&service.participant),
            since(service.since_unix_ms),
            service.at_work.to_string(),
            service.concurrency.to_string(),
            service.calls.to_string(),
            service.clients.to_string(),
            service.waiting.to_string(),
            bytes(service.unread_bytes),
            state(view, service.alive, &service.participant).into(),
        ]);
    }
    table
}

pub(crate) fn state(view: &View, alive: bool, participant: &str) -> &'static str {
    match alive {
        false => "dead",
        true if view.is_stopped(participant) => "stopped",
        true => "live",
    }
}

/// Both ends of each channel, and what each has sent that the other has not read.
pub(crate) fn channels(view: &View) -> Table {
    let mut table =
        Table::new(["CHANNEL OF", "CLIENT", "SERVER", ">AGE", ">TO SERVER", ">TO CLIENT", "STATE"]);
    for channel in &view.snapshot.channels {
        let server = channel.server.as_ref();
        table.row([
            if channel.listener.is_empty() { "-".into() } else { channel.listener.clone() },
            end(&channel.client),
            server.map_or("-".into(), end),
            since(channel.since_unix_ms),
            bytes(channel.client.pending_bytes),
            server.map_or("-".into(), |server| bytes(server.pending_bytes)),
            channel_state(channel).into(),
        ]);
    }
    table
}

/// `label(pid)`, and what is the matter with it.
pub(crate) fn end(end: &ChannelEnd) -> String {
    let state = match end {
        e if !e.alive => ", dead",
        e if e.stopped => ", stopped",
        _ => "",
    };
    format!("{}({}){state}", label(&end.label), end.pid)
}

pub(crate) fn channel_state(channel: &ChannelInfo) -> &'static str {
    let Some(server) = &channel.server else { return "not accepted" };
    let ended = |end: &ChannelEnd| end.closed || !end.alive;
    match (ended(&channel.client), ended(server)) {
        (true, true) => "ended",
        (true, false) => "client has ended",
        (false, true) => "server has ended",
        _ if channel.client.blocked_since_unix_ms != 0 => "client waits for room",
        _ if server.blocked_since_unix_ms != 0 => "server waits for room",
        _ => "live",
    }
}

/// What deserves a look, in sentences.
pub(crate) fn notes(view: &View) -> Vec<String> {
    let mut notes = Vec::new();
    for channel in &view.snapshot.channels {
        let Some(server) = &channel.server else { continue };
        for (writer, reader) in [(&channel.client, server), (server, &channel.client)] {
            if writer.blocked_since_unix_ms != 0 {
                let (of, who, whom) = (&channel.listener, end(writer), end(reader));
                let time = since(writer.blocked_since_unix_ms);
                notes.push(format!("{of}: {who} waits for {whom} to make room, for {time}"));
            }
        }
    }
    let waits = |name: &str, waiting: usize, who: &str, from: u64| {
        let clients = plural(waiting as u64, "client");
        format!("{name}: {clients} not accepted by {}, for {}", view.who(who), since(from))
    };
    for l in view.snapshot.listeners.iter().filter(|l| l.waiting > 0) {
        notes.push(waits(&l.name, l.waiting, &l.participant, l.waiting_since_unix_ms));
    }
    for s in view.snapshot.services.iter().filter(|s| s.waiting > 0) {
        notes.push(waits(&s.name, s.waiting, &s.participant, s.waiting_since_unix_ms));
    }
    notes
}
