//! The example manifest is one that a cluster takes, and its times fit those of the runtime.

use std::process::Command;
use tests::process::workspace;
use tests::server;

const MANIFEST: &str = "examples/k8s/orders.yaml";

#[test]
fn the_manifest_fits_the_schema_of_kubernetes() {
    let Some(validate) = server::find("kubernetes-validate") else {
        return;
    };
    let output = Command::new(validate)
        .args(["--strict", MANIFEST])
        .current_dir(workspace())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[test]
fn the_manifest_leaves_time_for_the_drain_and_asks_the_three_probes() {
    let text = std::fs::read_to_string(workspace().join(MANIFEST)).unwrap();
    for probe in ["/startupz", "/readyz", "/livez"] {
        assert_eq!(text.matches(&format!("path: {probe}\n")).count(), 1, "{probe}");
    }
    let number = |key: &str| -> u64 {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(key)).unwrap();
        line.trim().parse().unwrap()
    };
    // The drain delay and the last flush by default, and some requests under way.
    assert!(number("terminationGracePeriodSeconds:") >= 5 + 10 + 10);
    assert!(number("timeoutSeconds:") >= 1);
    assert!(text.contains("value: 0.0.0.0:9464") && text.contains("containerPort: 9464"));
    // As the example's end-to-end test starts it, on the port that the Service routes to.
    assert!(text.contains(r#"args: ["--quiet", "--host", "0.0.0.0", "--port", "3000"]"#));
    assert!(text.contains("containerPort: 3000"));
}
