//! What AWS says of the task and the machine that this process runs on: the task metadata endpoint of ECS, version 4, and the
//! instance metadata service of EC2, version 2.
//!
//! Nobody is asked where nothing hints at AWS: ECS sets `ECS_CONTAINER_METADATA_URI_V4`, and machines of EC2 say so in their
//! firmware. `AWS_EC2_METADATA_SERVICE_ENDPOINT`, `AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE` and `AWS_EC2_METADATA_DISABLED` mean what they
//! mean to AWS's own tools. Both are asked at once, and `init()` waits half a second for them at most.

use super::resource::{Resource, SCHEMA_URL};
use bytes::Bytes;
use http::{Method, Request, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::error::Error;
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpStream;

/// For all that one of them is asked.
const PATIENCE: Duration = Duration::from_millis(500);
/// Neither answers more.
const MAX_BODY: usize = 256 << 10;

type Env<'a> = &'a dyn Fn(&str) -> Option<String>;
type Asked<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// What can be learnt, and what could not.
pub(super) fn detect(root: &Path, env: Env<'_>) -> (Resource, Vec<String>) {
    let (ec2, ecs) = (instance(root, env), task(env));
    if ec2.is_none() && ecs.is_none() {
        return (Resource::default(), Vec::new());
    }
    // `init()` may have been called on a runtime, which must not be blocked on.
    let asked = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .ok()?;
        let answers = runtime
            .block_on(async { tokio::join!(bounded(ec2.as_deref(), of_instance), bounded(ecs.as_deref(), of_task)) });
        // A name may still be looked up.
        runtime.shutdown_background();
        Some((answers, ec2, ecs))
    });
    let Ok(Some(((of_ec2, of_ecs), ec2, ecs))) = asked.join() else {
        return (Resource::default(), Vec::new());
    };
    let mut warnings = Vec::new();
    let mut found = Resource::default();
    // A task knows more of itself than the machine it is on.
    for (answer, service, endpoint) in [
        (of_ec2, "instance metadata service of EC2", ec2),
        (of_ecs, "task metadata endpoint of ECS", ecs),
    ] {
        match answer {
            Some(Ok(resource)) => found = found.merge(resource),
            Some(Err(error)) => warnings.push(format!(
                "the {service} at {} does not say what this is: {error}{}",
                endpoint.unwrap_or_default(),
                if service.contains("EC2") {
                    "; in a container it answers with a hop limit of 2 or more only; AWS_EC2_METADATA_DISABLED=true leaves it alone"
                } else {
                    ""
                }
            )),
            None => {}
        }
    }
    (found, warnings)
}

async fn bounded<'a, F>(endpoint: Option<&'a str>, ask: impl FnOnce(&'a str) -> F) -> Option<Asked<Resource>>
where
    F: Future<Output = Asked<Resource>>,
{
    let answer = tokio::time::timeout(PATIENCE, ask(endpoint?)).await;
    Some(answer.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}").into())))
}

/// Where the task metadata is, on ECS.
fn task(env: Env<'_>) -> Option<String> {
    cfg!(feature = "aws-ecs").then(|| env("ECS_CONTAINER_METADATA_URI_V4").filter(|uri| !uri.is_empty()))?
}

/// Where the instance metadata is, on EC2.
fn instance(root: &Path, env: Env<'_>) -> Option<String> {
    let is = |name: &str, value: &str| env(name).is_some_and(|found| found.eq_ignore_ascii_case(value));
    if !cfg!(feature = "aws-ec2") || is("AWS_EC2_METADATA_DISABLED", "true") {
        return None;
    }
    if let Some(chosen) = env("AWS_EC2_METADATA_SERVICE_ENDPOINT").filter(|uri| !uri.is_empty()) {
        return Some(chosen);
    }
    let says = |file: &str, start: &str| {
        let text = std::fs::read_to_string(root.join(file)).unwrap_or_default();
        text.get(..start.len())
            .is_some_and(|found| found.eq_ignore_ascii_case(start))
    };
    let hinted = says("sys/class/dmi/id/sys_vendor", "Amazon EC2")
        || says("sys/class/dmi/id/board_vendor", "Amazon EC2")
        || says("sys/hypervisor/uuid", "ec2");
    let by_ipv6 = is("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv6");
    hinted.then(|| {
        if by_ipv6 {
            "http://[fd00:ec2::254]"
        } else {
            "http://169.254.169.254"
        }
        .to_owned()
    })
}

/// One request and its answer, which has to be a good one.
async fn ask(method: Method, url: &str, header: Option<(&str, &str)>) -> Asked<Bytes> {
    let uri: Uri = url.parse()?;
    if uri.scheme_str() != Some("http") {
        return Err("not an `http://` address".into());
    }
    let host = uri.host().ok_or("no host")?;
    let port = uri.port_u16().unwrap_or(80);
    let stream = TcpStream::connect(format!("{host}:{port}")).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut request = Request::builder()
        .method(method)
        .uri(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header("host", format!("{host}:{port}"))
        .header("user-agent", concat!("vitalsign/", env!("CARGO_PKG_VERSION")));
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    let response = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
    if !response.status().is_success() {
        return Err(format!("{} to {url}", response.status()).into());
    }
    Ok(Limited::new(response.into_body(), MAX_BODY).collect().await?.to_bytes())
}

async fn json(url: &str, header: Option<(&str, &str)>) -> Asked<Value> {
    Ok(serde_json::from_slice(&ask(Method::GET, url, header).await?)?)
}

/// Sets what is a text and not empty.
fn set(resource: &mut Resource, key: &'static str, value: Option<&str>) {
    if let Some(value) = value.filter(|value| !value.is_empty()) {
        resource.set(key, value.to_owned());
    }
}

fn of_aws(platform: &'static str) -> Resource {
    Resource::new([("cloud.provider", "aws"), ("cloud.platform", platform)]).with_schema(SCHEMA_URL)
}

/// By a session token; without one, version 1, nothing is asked.
async fn of_instance(endpoint: &str) -> Asked<Resource> {
    let endpoint = endpoint.trim_end_matches('/');
    let lifetime = Some(("x-aws-ec2-metadata-token-ttl-seconds", "60"));
    let token = ask(Method::PUT, &format!("{endpoint}/latest/api/token"), lifetime).await?;
    let token = Some(("x-aws-ec2-metadata-token", std::str::from_utf8(&token)?.trim()));
    let document = format!("{endpoint}/latest/dynamic/instance-identity/document");
    let document = json(&document, token).await?;
    let mut resource = of_aws("aws_ec2");
    for (key, field) in [
        ("cloud.account.id", "accountId"),
        ("cloud.region", "region"),
        ("cloud.availability_zone", "availabilityZone"),
        ("host.id", "instanceId"),
        ("host.type", "instanceType"),
        ("host.image.id", "imageId"),
    ] {
        set(&mut resource, key, document[field].as_str());
    }
    // Not every network gives its machines a name.
    let name = ask(Method::GET, &format!("{endpoint}/latest/meta-data/hostname"), token).await;
    if let Ok(name) = &name {
        set(
            &mut resource,
            "host.name",
            std::str::from_utf8(name).ok().map(str::trim),
        );
    }
    Ok(resource)
}

async fn of_task(endpoint: &str) -> Asked<Resource> {
    let endpoint = endpoint.trim_end_matches('/');
    let of_task = format!("{endpoint}/task");
    let (container, task) = tokio::try_join!(json(endpoint, None), json(&of_task, None))?;
    let mut resource = of_aws("aws_ecs");
    let text = |value: &Value, field: &str| value[field].as_str().map(str::to_owned);
    let arn = text(&task, "TaskARN").unwrap_or_default();
    // arn:aws:ecs:REGION:ACCOUNT:task/CLUSTER/ID, before 2021 without the cluster.
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    if let [_, _, _, region, account, id] = parts[..] {
        set(&mut resource, "cloud.region", Some(region));
        set(&mut resource, "cloud.account.id", Some(account));
        set(&mut resource, "aws.ecs.task.id", id.rsplit('/').next());
    }
    let cluster = text(&task, "Cluster").map(|cluster| {
        if cluster.starts_with("arn:") || parts.len() < 6 {
            cluster
        } else {
            format!("{}:cluster/{cluster}", parts[..5].join(":"))
        }
    });
    let launch_type = text(&task, "LaunchType").map(|kind| kind.to_ascii_lowercase());
    let container_arn = text(&container, "ContainerARN");
    for (key, value) in [
        ("cloud.availability_zone", text(&task, "AvailabilityZone")),
        ("cloud.resource_id", container_arn.clone()),
        ("aws.ecs.container.arn", container_arn),
        ("aws.ecs.cluster.arn", cluster),
        ("aws.ecs.launchtype", launch_type),
        ("aws.ecs.task.arn", Some(arn.clone())),
        ("aws.ecs.task.family", text(&task, "Family")),
        ("aws.ecs.task.revision", text(&task, "Revision")),
        ("container.id", text(&container, "DockerId")),
        ("container.name", text(&container, "DockerName")),
    ] {
        set(&mut resource, key, value.as_deref());
    }
    if container["LogDriver"] == "awslogs" {
        for (key, field) in [
            ("aws.log.group.names", "awslogs-group"),
            ("aws.log.stream.names", "awslogs-stream"),
        ] {
            if let Some(name) = text(&container["LogOptions"], field) {
                resource.set(key, vec![name]);
            }
        }
    }
    Ok(resource)
}

#[cfg(all(test, feature = "aws-ecs", feature = "aws-ec2"))]
mod tests;
