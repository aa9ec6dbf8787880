//! What this process is: the attributes that stand on everything it exports.

use super::env::Config;
use std::borrow::Cow;
use std::fs;
use std::path::Path;

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum AttrValue {
    /// A text.
    Str(Cow<'static, str>),
    /// A truth value.
    Bool(bool),
    /// A whole number.
    I64(i64),
    /// A number.
    F64(f64),
    /// Several texts.
    StrArray(Vec<Cow<'static, str>>),
}

impl std::fmt::Display for AttrValue {
    /// As attributes become labels: arrays as JSON (OpenTelemetry's mapping to Prometheus).
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Str(value) => f.write_str(value),
            Self::Bool(value) => value.fmt(f),
            Self::I64(value) => value.fmt(f),
            Self::F64(value) => value.fmt(f),
            Self::StrArray(values) => f.debug_list().entries(values).finish(),
        }
    }
}

impl From<&'static str> for AttrValue {
    fn from(value: &'static str) -> Self {
        Self::Str(value.into())
    }
}

impl From<String> for AttrValue {
    fn from(value: String) -> Self {
        Self::Str(value.into())
    }
}

impl From<bool> for AttrValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for AttrValue {
    fn from(value: i64) -> Self {
        Self::I64(value)
    }
}

impl From<f64> for AttrValue {
    fn from(value: f64) -> Self {
        Self::F64(value)
    }
}

impl From<Vec<String>> for AttrValue {
    fn from(values: Vec<String>) -> Self {
        Self::StrArray(values.into_iter().map(Cow::from).collect())
    }
}

/// The attributes that stand on everything a process exports.
///
/// # Examples
/// ```
/// use vitalsign::config::Resource;
///
/// let ours = Resource::new([("service.name", "orders"), ("deployment.environment.name", "test")]);
/// let merged = Resource::new([("service.name", "other"), ("host.name", "a")]).merge(ours);
/// assert_eq!(merged.text("service.name"), Some("orders"));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resource {
    attributes: Vec<(Cow<'static, str>, AttrValue)>,
    schema_url: Option<Cow<'static, str>>,
}

/// The version of the semantic conventions that the detectors follow.
pub(crate) const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

impl Resource {
    /// Of these attributes; of several with one key the last holds.
    pub fn new<K, V>(attributes: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<Cow<'static, str>>,
        V: Into<AttrValue>,
    {
        let mut resource = Self::default();
        for (key, value) in attributes {
            resource.set(key, value);
        }
        resource
    }

    /// The attributes, in the order they were set.
    pub fn attributes(&self) -> &[(Cow<'static, str>, AttrValue)] {
        &self.attributes
    }

    /// The schema that the attributes follow.
    pub fn schema_url(&self) -> Option<&str> {
        self.schema_url.as_deref()
    }

    /// The value under a key.
    pub fn value(&self, key: &str) -> Option<&AttrValue> {
        self.attributes.iter().find(|(k, _)| k == key).map(|(_, value)| value)
    }

    /// The text under a key.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.value(key)? {
            AttrValue::Str(text) => Some(text),
            _ => None,
        }
    }

    /// Sets one attribute. A key that is empty is ignored.
    pub fn set(&mut self, key: impl Into<Cow<'static, str>>, value: impl Into<AttrValue>) {
        let (key, value) = (key.into(), value.into());
        if key.is_empty() {
            return;
        }
        match self.attributes.iter_mut().find(|(k, _)| *k == key) {
            Some((_, old)) => *old = value,
            None => self.attributes.push((key, value)),
        }
    }

    /// This one updated by another: the other's values win. Schema URLs that contradict each other leave none
    /// (OpenTelemetry resource specification, "Merge").
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        for (key, value) in other.attributes {
            self.set(key, value);
        }
        self.schema_url = match (self.schema_url, other.schema_url) {
            (Some(a), Some(b)) if a != b => None,
            (a, b) => a.or(b),
        };
        self
    }

    /// What the detectors find, updated by the variables; and what could not be found.
    pub(crate) fn detect(config: &Config) -> (Self, Vec<String>) {
        let (root, env) = (Path::new("/"), |name: &str| std::env::var(name).ok());
        let found = Self::found(root, &env);
        #[cfg(feature = "_aws")]
        let (found, warnings) = {
            let (of_aws, warnings) = super::aws::detect(root, &env);
            (found.merge(of_aws), warnings)
        };
        #[cfg(not(feature = "_aws"))]
        let warnings = Vec::new();
        (found.merge(Self::configured(config)), warnings)
    }

    /// With the schema that its attributes follow.
    #[cfg(feature = "_aws")]
    pub(super) fn with_schema(mut self, url: &'static str) -> Self {
        self.schema_url = Some(url.into());
        self
    }

    /// The variables: `OTEL_SERVICE_NAME` wins over `OTEL_RESOURCE_ATTRIBUTES`. A service without a name keeps the one that was found.
    fn configured(config: &Config) -> Self {
        let given = config.resource_attributes.iter();
        let given = given.filter(|(key, value)| key != "service.name" || !value.is_empty());
        let mut resource = Self::new(given.cloned());
        if let Some(name) = &config.service_name {
            resource.set("service.name", name.clone());
        }
        resource
    }

    /// What the detectors see under a root folder and an environment.
    fn found(root: &Path, env: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut r = Self {
            schema_url: Some(SCHEMA_URL.into()),
            ..Self::default()
        };
        service(&mut r);
        host(&mut r, root, env);
        process(&mut r);
        if let Some(id) = container_id(root) {
            r.set("container.id", id);
        }
        kubernetes(&mut r, root, env);
        r
    }
}

fn service(r: &mut Resource) {
    let name = executable().map_or_else(|| "unknown_service".to_owned(), |exe| format!("unknown_service:{exe}"));
    r.set("service.name", name);
    r.set("service.instance.id", random_uuid());
    r.set("telemetry.sdk.name", "vitalsign");
    r.set("telemetry.sdk.language", "rust");
    r.set("telemetry.sdk.version", env!("CARGO_PKG_VERSION"));
}

fn executable() -> Option<String> {
    let path = std::env::current_exe().ok()?;
    Some(path.file_name()?.to_string_lossy().into_owned())
}

/// Version 4. The standard library's hash keys come from the system's randomness.
fn random_uuid() -> String {
    use std::hash::{BuildHasher, RandomState};
    let random = || u128::from(RandomState::new().hash_one(std::process::id()));
    let bits = random() << 64 | random();
    let bits = bits & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let hex = format!("{bits:032x}");
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

fn host(r: &mut Resource, root: &Path, env: &dyn Fn(&str) -> Option<String>) {
    let name = line(root, "proc/sys/kernel/hostname").or_else(|| line(root, "etc/hostname"));
    if let Some(name) = name.or_else(|| env("HOSTNAME")).or_else(|| env("COMPUTERNAME")) {
        r.set("host.name", name);
    }
    if let Some(id) = line(root, "etc/machine-id") {
        r.set("host.id", id);
    }
    r.set(
        "host.arch",
        match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "arm" => "arm32",
            "powerpc" => "ppc32",
            "powerpc64" => "ppc64",
            other => other,
        },
    );
    r.set(
        "os.type",
        match std::env::consts::OS {
            "macos" | "ios" => "darwin",
            "dragonfly" => "dragonflybsd",
            other => other,
        },
    );
    let release = fs::read_to_string(root.join("etc/os-release")).unwrap_or_default();
    for (field, key) in [
        ("NAME", "os.name"),
        ("VERSION_ID", "os.version"),
        ("PRETTY_NAME", "os.description"),
    ] {
        let found = release
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix('='));
        if let Some(value) = found.map(|v| v.trim_matches(['"', '\''])).filter(|v| !v.is_empty()) {
            r.set(key, value.to_owned());
        }
    }
}

/// No command line: arguments may be secrets, and nobody asked for them.
fn process(r: &mut Resource) {
    r.set("process.pid", i64::from(std::process::id()));
    r.set("process.runtime.name", "rust");
    if let Ok(path) = std::env::current_exe() {
        r.set("process.executable.path", path.to_string_lossy().into_owned());
    }
    if let Some(name) = executable() {
        r.set("process.executable.name", name);
    }
}

/// From the control group's path (v1), else from where the container's files are mounted from (v2).
fn container_id(root: &Path) -> Option<String> {
    let v1 = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let from_group = v1.lines().find_map(|line| {
        let path = line.splitn(3, ':').nth(2)?;
        // `docker-ID.scope`, `cri-containerd-ID.scope`, `cri-containerd:ID`, `ID`; the container may have made groups of its own below.
        path.rsplit('/').find_map(|part| {
            let part = part.strip_suffix(".scope").unwrap_or(part);
            let id = part.rsplit(['-', ':']).next()?;
            is_id(id).then(|| id.to_owned())
        })
    });
    from_group.or_else(|| {
        let mounts = fs::read_to_string(root.join("proc/self/mountinfo")).ok()?;
        mounts.lines().find_map(|line| {
            // Fields: id, parent, device, root, mount point, …
            let source = line.split(' ').nth(3)?;
            // `…/containers/ID/hostname`, Podman's `…/overlay-containers/ID/userdata/hostname`; a volume may be called like a container.
            let mut parts = source.split('/').skip_while(|part| !part.ends_with("containers"));
            let mut folder = parts.next()?;
            parts.find_map(|part| {
                let id = folder.ends_with("containers") && is_id(part);
                folder = part;
                id.then(|| part.to_owned())
            })
        })
    })
}

fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase())
}

/// What the downward API put into the environment under its usual names, and what every pod has.
fn kubernetes(r: &mut Resource, root: &Path, env: &dyn Fn(&str) -> Option<String>) {
    if env("KUBERNETES_SERVICE_HOST").is_none() {
        return;
    }
    for (key, names) in [
        (
            "k8s.pod.name",
            &["K8S_POD_NAME", "KUBERNETES_POD_NAME", "POD_NAME", "HOSTNAME"][..],
        ),
        ("k8s.pod.uid", &["K8S_POD_UID", "KUBERNETES_POD_UID", "POD_UID"]),
        ("k8s.pod.ip", &["K8S_POD_IP", "KUBERNETES_POD_IP", "POD_IP"]),
        (
            "k8s.namespace.name",
            &[
                "K8S_NAMESPACE_NAME",
                "K8S_NAMESPACE",
                "KUBERNETES_NAMESPACE",
                "POD_NAMESPACE",
            ],
        ),
        ("k8s.node.name", &["K8S_NODE_NAME", "KUBERNETES_NODE_NAME", "NODE_NAME"]),
        (
            "k8s.container.name",
            &["K8S_CONTAINER_NAME", "KUBERNETES_CONTAINER_NAME", "CONTAINER_NAME"],
        ),
        (
            "k8s.cluster.name",
            &["K8S_CLUSTER_NAME", "KUBERNETES_CLUSTER_NAME", "CLUSTER_NAME"],
        ),
    ] {
        if let Some(value) = names.iter().find_map(|name| env(name).filter(|v| !v.is_empty())) {
            r.set(key, value);
        }
    }
    if r.value("k8s.namespace.name").is_none()
        && let Some(namespace) = line(root, "var/run/secrets/kubernetes.io/serviceaccount/namespace")
    {
        r.set("k8s.namespace.name", namespace);
    }
}

/// The trimmed text of a small file, if there is any.
fn line(root: &Path, path: &str) -> Option<String> {
    let text = fs::read_to_string(root.join(path)).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f4d8f0f6c1b2a7e9d5c4b3a291807f6e5d4c3b2a1908f7e6d5c4b3a29180706";

    const OTHER: &str = "0000000000000000000000000000000000000000000000000000000000000000";

    struct Root(std::path::PathBuf);

    impl Root {
        fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let root = std::env::temp_dir().join(format!("vitalsign-resource-{}-{name}", std::process::id()));
            for (path, text) in files {
                let path = root.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Self(root)
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn container_ids_of_both_control_group_versions() {
        for (n, (file, text)) in [
            (
                "proc/self/cgroup",
                format!("12:cpu:/docker/{ID}\n1:name=systemd:/docker/{ID}\n"),
            ),
            ("proc/self/cgroup", format!("0::/system.slice/docker-{ID}.scope")),
            ("proc/self/cgroup", format!("1:x:/kubepods/burstable/pod0-0/{ID}")),
            (
                "proc/self/cgroup",
                format!("1:x:/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope"),
            ),
            (
                "proc/self/cgroup",
                format!("1:x:/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:{ID}"),
            ),
            (
                "proc/self/mountinfo",
                format!("473 456 254:1 /docker/containers/{ID}/hostname /etc/hostname rw - ext4 /dev/vda1 rw"),
            ),
            (
                "proc/self/mountinfo",
                format!(
                    "1 2 0:1 /containers/overlay-containers/{ID}/userdata/hostname /etc/hostname rw - tmpfs tmpfs rw"
                ),
            ),
            // Podman's, with groups below the container's own.
            (
                "proc/self/cgroup",
                format!("0::/machine.slice/libpod-{ID}.scope/container"),
            ),
            ("proc/self/cgroup", format!("5:memory:/docker/{OTHER}/docker/{ID}/init.scope")),
            // A volume without a name is called like a container.
            (
                "proc/self/mountinfo",
                format!(
                    "1 2 0:1 /var/lib/containers/storage/volumes/{OTHER}/_data /data rw - xfs /dev/sda rw\n\
                     1 2 0:1 /var/lib/containers/storage/overlay-containers/{ID}/userdata/hostname /etc/hostname rw - xfs x rw"
                ),
            ),
        ]
        .into_iter()
        .enumerate()
        {
            let root = Root::new(&format!("container{n}"), &[(file, &text)]);
            assert_eq!(container_id(&root.0).as_deref(), Some(ID), "{text}");
        }
        let sandbox =
            format!("1 2 0:1 /var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes/{ID}/hostname /etc/hostname rw");
        for text in ["0::/", "0::/user.slice/user-0.slice", "garbage", "", &sandbox] {
            let root = Root::new("none", &[("proc/self/cgroup", text), ("proc/self/mountinfo", text)]);
            assert_eq!(container_id(&root.0), None, "{text}");
        }
    }

    #[test]
    fn pods_by_the_downward_api() {
        let root = Root::new(
            "k8s",
            &[("var/run/secrets/kubernetes.io/serviceaccount/namespace", "shop\n")],
        );
        let env = |name: &str| match name {
            "KUBERNETES_SERVICE_HOST" => Some("10.0.0.1".to_owned()),
            "POD_UID" => Some("u-1".to_owned()),
            "HOSTNAME" => Some("orders-0".to_owned()),
            _ => None,
        };
        let r = Resource::found(&root.0, &env);
        assert_eq!(r.text("k8s.pod.name"), Some("orders-0"));
        assert_eq!(r.text("k8s.pod.uid"), Some("u-1"));
        assert_eq!(r.text("k8s.namespace.name"), Some("shop"));
        let outside = Resource::found(&root.0, &|name| (name == "POD_UID").then(|| "u-1".to_owned()));
        assert_eq!(outside.value("k8s.pod.uid"), None);
    }

    #[test]
    fn the_service_s_name_comes_from_its_variable_first() {
        let named = |vars: &[(&str, &str)]| {
            let (config, _) = Config::from(|name| {
                vars.iter()
                    .find(|(n, _)| *n == name)
                    .map(|(_, value)| (*value).to_owned())
            });
            Resource::detect(&config).0.text("service.name").unwrap().to_owned()
        };
        assert!(named(&[]).starts_with("unknown_service:"));
        let attributes = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=a%2Cb,x=1");
        assert_eq!(named(&[attributes]), "a,b");
        assert_eq!(named(&[attributes, ("OTEL_SERVICE_NAME", "c")]), "c");
        assert!(named(&[("OTEL_RESOURCE_ATTRIBUTES", "service.name=,x=1")]).starts_with("unknown_service:"));
    }

    #[test]
    fn schemas_that_contradict_leave_none() {
        let with = |url: Option<&'static str>| Resource {
            schema_url: url.map(Cow::from),
            ..Resource::default()
        };
        for (a, b, merged) in [
            (None, None, None),
            (Some("a"), None, Some("a")),
            (None, Some("b"), Some("b")),
            (Some("a"), Some("a"), Some("a")),
            (Some("a"), Some("b"), None),
        ] {
            assert_eq!(with(a).merge(with(b)).schema_url(), merged);
        }
    }

    #[test]
    fn instance_ids_are_uuids() {
        let (a, b) = (random_uuid(), random_uuid());
        assert_ne!(a, b);
        assert_eq!((a.len(), &a[14..15]), (36, "4"));
        assert!("89ab".contains(&a[19..20]));
    }
}
