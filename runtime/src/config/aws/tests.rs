//! Against a local server that speaks as AWS's does.

use super::*;
use crate::config::AttrValue;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Answers each request by a function of its head, and keeps the heads.
struct Server {
    url: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(answer: impl Fn(&str) -> (u16, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let kept = heads.clone();
        // It ends with the tests: one thread that waits.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { break };
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                    head.push(byte[0]);
                }
                let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
                let (status, body) = answer(&head);
                kept.lock().unwrap().push(head);
                // In chunks, as Go sends what it has not measured.
                let (first, second) = body.split_at(body.len() / 2);
                let mut text = format!("HTTP/1.1 {status} -\r\nTransfer-Encoding: chunked\r\n\r\n");
                for chunk in [first, second].iter().filter(|chunk| !chunk.is_empty()) {
                    let _ = write!(text, "{:x}\r\n{chunk}\r\n", chunk.len());
                }
                text += "0\r\n\r\n";
                let _ = stream.write_all(text.as_bytes());
            }
        });
        Self { url, heads }
    }
}

const DOCUMENT: &str = r#"{"accountId": "123456789012", "architecture": "x86_64", "availabilityZone": "eu-west-1b",
    "imageId": "ami-0abc", "instanceId": "i-0123456789abcdef0", "instanceType": "m7g.large", "privateIp": "10.0.0.7",
    "region": "eu-west-1", "version": "2017-09-30", "billingProducts": null}"#;

/// Refuses what version 1 would ask.
fn instance_metadata(head: &str) -> (u16, String) {
    if head.starts_with("put /latest/api/token ") {
        let asked = head.contains("x-aws-ec2-metadata-token-ttl-seconds: 60");
        return if asked {
            (200, "TOKEN==".to_owned())
        } else {
            (400, String::new())
        };
    }
    if !head.contains("x-aws-ec2-metadata-token: token==") {
        return (401, String::new());
    }
    match head.split(' ').nth(1) {
        Some("/latest/dynamic/instance-identity/document") => (200, DOCUMENT.to_owned()),
        Some("/latest/meta-data/hostname") => (200, "ip-10-0-0-7.eu-west-1.compute.internal".to_owned()),
        _ => (404, String::new()),
    }
}

const CONTAINER: &str = r#"{"DockerId": "ea32192c8553fbff06c9340478a2ff089b2bb5646fb718b4ee206641c9086d66", "Name": "orders",
    "DockerName": "ecs-orders-24-orders-cca48e8dcadd97805600", "Image": "shop/orders:7",
    "ContainerARN": "arn:aws:ecs:us-west-2:111122223333:container/0206b271-b33f-47ab-86c6-a0ba208a70a9",
    "LogDriver": "awslogs", "LogOptions": {"awslogs-group": "/ecs/orders", "awslogs-region": "us-west-2",
    "awslogs-stream": "ecs/orders/8f03e41243824aea923aca126495f665"}}"#;

const TASK: &str = r#"{"Cluster": "default", "TaskARN":
    "arn:aws:ecs:us-west-2:111122223333:task/default/158d1c8083dd49d6b527399fd6414f5c", "Family": "orders", "Revision": "26",
    "LaunchType": "FARGATE", "AvailabilityZone": "us-west-2d"}"#;

fn task_metadata(head: &str) -> (u16, String) {
    match head.split(' ').nth(1) {
        Some("/v4/some-id") => (200, CONTAINER.to_owned()),
        Some("/v4/some-id/task") => (200, TASK.to_owned()),
        _ => (404, String::new()),
    }
}

fn detected(vars: &[(&str, &str)]) -> (Resource, Vec<String>) {
    let env = |name: &str| {
        let found = vars.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    detect(Path::new("/nowhere"), &env)
}

#[test]
fn an_instance_by_version_2() {
    let server = Server::start(instance_metadata);
    let (resource, warnings) = detected(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &server.url)]);
    assert_eq!(warnings, [""; 0]);
    for (key, value) in [
        ("cloud.provider", "aws"),
        ("cloud.platform", "aws_ec2"),
        ("cloud.account.id", "123456789012"),
        ("cloud.region", "eu-west-1"),
        ("cloud.availability_zone", "eu-west-1b"),
        ("host.id", "i-0123456789abcdef0"),
        ("host.type", "m7g.large"),
        ("host.image.id", "ami-0abc"),
        ("host.name", "ip-10-0-0-7.eu-west-1.compute.internal"),
    ] {
        assert_eq!(resource.text(key), Some(value), "{key}");
    }
    assert_eq!(resource.schema_url(), Some(SCHEMA_URL));
    let heads = server.heads.lock().unwrap();
    assert!(heads[0].starts_with("put "), "{heads:?}");
    assert_eq!(heads.len(), 3);
}

#[test]
fn a_task_by_version_4() {
    let server = Server::start(task_metadata);
    let uri = format!("{}/v4/some-id", server.url);
    let (resource, warnings) = detected(&[("ECS_CONTAINER_METADATA_URI_V4", &uri)]);
    assert_eq!(warnings, [""; 0]);
    let container = "arn:aws:ecs:us-west-2:111122223333:container/0206b271-b33f-47ab-86c6-a0ba208a70a9";
    for (key, value) in [
        ("cloud.platform", "aws_ecs"),
        ("cloud.account.id", "111122223333"),
        ("cloud.region", "us-west-2"),
        ("cloud.availability_zone", "us-west-2d"),
        ("cloud.resource_id", container),
        ("aws.ecs.container.arn", container),
        (
            "aws.ecs.cluster.arn",
            "arn:aws:ecs:us-west-2:111122223333:cluster/default",
        ),
        ("aws.ecs.launchtype", "fargate"),
        ("aws.ecs.task.id", "158d1c8083dd49d6b527399fd6414f5c"),
        ("aws.ecs.task.family", "orders"),
        ("aws.ecs.task.revision", "26"),
        (
            "container.id",
            "ea32192c8553fbff06c9340478a2ff089b2bb5646fb718b4ee206641c9086d66",
        ),
        ("container.name", "ecs-orders-24-orders-cca48e8dcadd97805600"),
    ] {
        assert_eq!(resource.text(key), Some(value), "{key}");
    }
    let groups = AttrValue::from(vec!["/ecs/orders".to_owned()]);
    assert_eq!(resource.value("aws.log.group.names"), Some(&groups));
}

#[test]
fn a_task_on_an_instance_is_both_and_a_task_first() {
    let (ec2, ecs) = (Server::start(instance_metadata), Server::start(task_metadata));
    let uri = format!("{}/v4/some-id", ecs.url);
    let (resource, _) = detected(&[
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &ec2.url),
        ("ECS_CONTAINER_METADATA_URI_V4", &uri),
    ]);
    assert_eq!(resource.text("cloud.platform"), Some("aws_ecs"));
    assert_eq!(resource.text("cloud.region"), Some("us-west-2"));
    assert_eq!(resource.text("host.id"), Some("i-0123456789abcdef0"));
}

#[test]
fn who_does_not_answer_is_not_waited_for() {
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let start = Instant::now();
    let (resource, warnings) = detected(&[
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url),
        ("ECS_CONTAINER_METADATA_URI_V4", &url),
    ]);
    // Both at once; far below this, and far above on no machine.
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(resource, Resource::default());
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("no answer within 500ms") && warnings[0].contains("hop limit"));
    let refused = detected(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")]).1;
    assert!(refused[0].contains("http://127.0.0.1:1"), "{refused:?}");
}

#[test]
fn answers_that_make_no_sense_are_warnings() {
    for (status, body) in [
        (200, "not JSON"),
        (200, "[]"),
        (403, ""),
        (500, "x"),
        (200, "{\"accountId\": 7}"),
    ] {
        let server = Server::start(move |_| (status, body.to_owned()));
        let (resource, warnings) = detected(&[("ECS_CONTAINER_METADATA_URI_V4", &server.url)]);
        let empty = body.starts_with(['[', '{']);
        assert_eq!(warnings.is_empty(), empty, "{body}: {warnings:?}");
        assert_eq!(resource.text("cloud.account.id"), None);
    }
    let (_, warnings) = detected(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", "ftp://x")]);
    assert!(warnings[0].contains("not an `http://` address"), "{warnings:?}");
}

#[test]
fn elsewhere_nobody_is_asked() {
    assert_eq!(detected(&[]), (Resource::default(), Vec::new()));
    let disabled = detected(&[
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1"),
        ("AWS_EC2_METADATA_DISABLED", "TRUE"),
    ]);
    assert_eq!(disabled, (Resource::default(), Vec::new()));
}

#[test]
fn firmware_and_hypervisor_hint_at_ec2() {
    let root = std::env::temp_dir().join(format!("vitalsign-aws-{}", std::process::id()));
    let none = |_: &str| None;
    assert_eq!(instance(&root, &none), None);
    std::fs::create_dir_all(root.join("sys/hypervisor")).unwrap();
    std::fs::write(root.join("sys/hypervisor/uuid"), "EC2E1916-9099\n").unwrap();
    assert_eq!(instance(&root, &none).as_deref(), Some("http://169.254.169.254"));
    let by_ipv6 = |name: &str| (name == "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE").then(|| "ipv6".to_owned());
    assert_eq!(instance(&root, &by_ipv6).as_deref(), Some("http://[fd00:ec2::254]"));
    std::fs::remove_dir_all(&root).unwrap();
}
