//! The gRPC health protocol, answered by the engine.
//!
//! The service name is empty for readiness; `liveness`, `readiness` and `startup` for the probes; else the name of a check, a group
//! or a parent. `Check` asks the engine, within a probe's deadline; `Watch` tells each change within a second.

use super::engine::Engine;
use super::options::Probe;
use std::time::Duration;
use tokio::sync::mpsc;
use tonic::codegen::BoxStream;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

/// The service for a tonic server.
///
/// # Examples
/// ```
/// let service = vitalsign::health::grpc::service();
/// // tonic::transport::Server::builder().add_service(service).serve(address).await?;
/// # drop(service);
/// ```
pub fn service() -> HealthServer<GrpcHealth> {
    service_for(super::engine())
}

/// The service for another engine than the process's.
pub fn service_for(engine: &Engine) -> HealthServer<GrpcHealth> {
    HealthServer::new(GrpcHealth { engine: engine.clone() })
}

/// `grpc.health.v1.Health`, answered by an engine.
#[derive(Clone, Debug)]
pub struct GrpcHealth {
    engine: Engine,
}

const WATCHED_EVERY: Duration = Duration::from_secs(1);

impl GrpcHealth {
    async fn status(&self, service: &str) -> ServingStatus {
        let report = match service {
            "" | "readiness" => Some(self.engine.probe(Probe::Ready).await),
            "liveness" => Some(self.engine.probe(Probe::Live).await),
            "startup" => Some(self.engine.probe(Probe::Startup).await),
            name => self.engine.probe_named(Probe::All, name).await,
        };
        match report {
            None => ServingStatus::ServiceUnknown,
            Some(report) if report.is_ok() => ServingStatus::Serving,
            Some(_) => ServingStatus::NotServing,
        }
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[tonic::async_trait]
impl Health for GrpcHealth {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        match self.status(&request.get_ref().service).await {
            ServingStatus::ServiceUnknown => Err(Status::not_found("no such health check")),
            status => Ok(Response::new(response(status))),
        }
    }

    type WatchStream = BoxStream<HealthCheckResponse>;

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let this = self.clone();
        let service = request.into_inner().service;
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            let mut last = None;
            loop {
                let status = this.status(&service).await;
                if last.replace(status) != Some(status) && sender.send(Ok(response(status))).await.is_err() {
                    return;
                }
                if tokio::time::timeout(WATCHED_EVERY, sender.closed()).await.is_ok() {
                    return;
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}
