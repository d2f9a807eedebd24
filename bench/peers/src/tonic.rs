//! gRPC with tonic over a Unix socket: unary calls, written as its code generator writes them.

#![allow(dead_code)]
mod common;

use common::{asked, folder, latencies, measure, process};
use std::convert::Infallible;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::task::{Context, Poll};
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::body::Body;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{NamedService, UnaryService};
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

fn main() {
    let (case, effort) = asked();
    if case == "call_blocking" {
        latencies(64, calls(effort.sleeping()), 1.0);
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct Line {
    #[prost(bytes = "vec", tag = "1")]
    data: Vec<u8>,
}

/// The service's one method: its answer is its argument.
#[derive(Clone)]
struct Echo;

impl UnaryService<Line> for Echo {
    type Response = Line;
    type Future = BoxFuture<Response<Line>, Status>;

    fn call(&mut self, request: Request<Line>) -> Self::Future {
        Box::pin(async move { Ok(Response::new(request.into_inner())) })
    }
}

#[derive(Clone)]
struct EchoServer;

impl NamedService for EchoServer {
    const NAME: &'static str = "bench.Echo";
}

impl Service<http::Request<Body>> for EchoServer {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let mut grpc = tonic::server::Grpc::new(ProstCodec::default());
        Box::pin(async move { Ok(grpc.unary(Echo, request).await) })
    }
}

/// Each half has one core, and a runtime of one thread.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime")
}

/// Serves until something comes by `end`.
async fn serve(path: &Path, start: &std::sync::atomic::AtomicU64, end: UnixStream) {
    let listener = UnixListener::bind(path).expect("bind");
    end.set_nonblocking(true).expect("a descriptor that does not wait");
    let end = tokio::net::UnixStream::from_std(end).expect("a descriptor");
    process::meet(start, 2);
    let over = async move { end.readable().await.expect("the end") };
    let incoming = UnixListenerStream::new(listener);
    Server::builder()
        .add_service(EchoServer)
        .serve_with_incoming_shutdown(incoming, over)
        .await
        .expect("serve");
}

fn calls(n: usize) -> Vec<f64> {
    let path = folder().join(format!("tonic-{}", std::process::id()));
    let start = process::word(process::shared(4096), 0);
    let (mut tell, end) = UnixStream::pair().expect("sockets");
    process::pair(
        || runtime().block_on(serve(&path, start, end)),
        || {
            process::meet(start, 2);
            let runtime = runtime();
            let endpoint = Endpoint::from_shared(format!("unix://{}", path.display())).expect("endpoint");
            let channel = runtime.block_on(endpoint.connect()).expect("connect");
            let mut client = tonic::client::Grpc::new(channel);
            let mut call = || {
                let request = Request::new(Line { data: vec![7; 64] });
                let method = PathAndQuery::from_static("/bench.Echo/Echo");
                let codec = ProstCodec::<Line, Line>::default();
                let answer = runtime.block_on(async {
                    client.ready().await.expect("ready");
                    client.unary(request, method, codec).await.expect("answer")
                });
                std::hint::black_box(answer.into_inner());
            };
            let nanos = measure::exchanges(n, &mut call);
            drop((client, runtime));
            tell.write_all(b".").expect("the end");
            nanos
        },
    )
}
