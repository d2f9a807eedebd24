//! Limits of the machine and of the domain that are reached, or nearly.

use super::super::Snapshot;
use super::{Finding, Severity, finding, who};
use crate::domain::Place;
use crate::mechanisms::topic::PublisherOptions;
use crate::sys::{file, process};

/// A limit on descriptors below this is low for a program of several topics.
const FEW_DESCRIPTORS: u64 = 256;

pub(super) fn look(place: &Place, seen: &Snapshot, findings: &mut Vec<Finding>) {
    space(place, findings);
    table(seen, findings);
    descriptors(seen, findings);
}

/// Whether memory is running out, or there is little of it to begin with.
fn space(place: &Place, findings: &mut Vec<Finding>) {
    let Some((free, all)) = file::filesystem_space(&place.path) else { return };
    let default = PublisherOptions::default();
    let needs = format!(
        "a publisher with default options takes {} KiB at once and up to {} MiB for messages over 2 KiB",
        default.capacity >> 10,
        default.max_bytes >> 20
    );
    let sized = |what: &str| format!("the shared-memory filesystem of {} {what}", place.path.display());
    let remedy = "enlarge it (docker run --shm-size=1g; Kubernetes: an emptyDir of medium Memory mounted on /dev/shm; else mount -o remount,size=1g /dev/shm), or lower capacity and max_bytes";
    if free < all / 10 {
        findings.push(finding(
            Severity::Problem,
            "memory_short",
            sized(&format!("has {} of {} MiB left", free >> 20, all >> 20)),
            &format!("{needs}; what does not fit is an error of the call that needs it"),
            remedy,
        ));
    } else if all <= 64 << 20 {
        findings.push(finding(
            Severity::Note,
            "memory_small",
            sized(&format!(
                "has {} MiB in all, {} MiB free; 64 MiB is a container's default",
                all >> 20,
                free >> 20
            )),
            &needs,
            remedy,
        ));
    }
}

/// Whether there is room for more participants.
fn table(seen: &Snapshot, findings: &mut Vec<Finding>) {
    let alive = seen.participants.iter().filter(|p| p.alive).count();
    let slots = seen.participant_slots as usize;
    let (severity, what) = match alive {
        full if full >= slots => (Severity::Problem, format!("all {slots} slots for participants are taken")),
        many if many * 10 >= slots * 9 => {
            (Severity::Warning, format!("{many} of {slots} slots for participants are taken"))
        }
        _ => return,
    };
    findings.push(finding(
        severity,
        "participants",
        what,
        "whoever opens the domain when all are taken fails with LimitReached",
        "close participants (`axonic ls` names them; one process needs one), or let all leave and make the domain anew with a larger max_participants (at most 4096)",
    ));
}

/// Who is about to run out of descriptors.
fn descriptors(seen: &Snapshot, findings: &mut Vec<Finding>) {
    for p in seen.participants.iter().filter(|p| p.alive && p.same_pid_namespace) {
        // Another user's process does not tell.
        let Some((open, limit)) = process::descriptors(p.pid) else { continue };
        let severity = match limit {
            limit if open * 10 >= limit * 8 => Severity::Warning,
            limit if limit < FEW_DESCRIPTORS => Severity::Note,
            _ => continue,
        };
        findings.push(finding(
            severity,
            "descriptors",
            format!("participant {} has {open} of {limit} descriptors open", who(p)),
            "each publisher and subscriber takes two descriptors and one for each peer it wakes; without any left, opening and meeting fail",
            "raise the limit before it is started (ulimit -n 4096; systemd: LimitNOFILE=), or open fewer objects",
        ));
    }
}
