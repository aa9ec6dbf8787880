//! Which link-time checks are the program's own: those of dependencies join a probe only if named.

use super::check::CheckDef;

/// Of the crate that the executable is named after, or of the package that was said to be the program.
pub(crate) fn is_own(def: &CheckDef) -> bool {
    let krate = def.module.split("::").next().unwrap_or_default();
    let exe = std::env::current_exe().ok();
    let stem = exe
        .as_deref()
        .and_then(|exe| exe.file_stem())
        .and_then(|stem| stem.to_str());
    stem.is_some_and(|stem| crate_of(stem) == krate)
}

/// `orders-api-0123456789abcdef` is the test executable of the crate `orders_api`.
fn crate_of(stem: &str) -> String {
    let stem = match stem.rsplit_once('-') {
        Some((name, hash)) if hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()) => name,
        _ => stem,
    };
    stem.replace('-', "_")
}

/// The folder of the package a source file belongs to, as far as Cargo's layout tells.
pub(crate) fn package_of(file: &str) -> &str {
    let cuts = ["src/", "tests/", "examples/", "benches/"];
    let folder = |cut: &&str| {
        let inner = file.rfind(&format!("/{cut}"));
        inner.or_else(|| file.starts_with(*cut).then_some(0))
    };
    match cuts.iter().find_map(folder) {
        Some(end) => &file[..end],
        None => file.rsplit_once('/').map_or("", |(folder, _)| folder),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_of_a_file() {
        for (file, package) in [
            ("src/main.rs", ""),
            ("src/db/mod.rs", ""),
            ("examples/orders/src/db.rs", "examples/orders"),
            (
                "/root/.cargo/registry/src/index-1/foo-1.0.0/src/lib.rs",
                "/root/.cargo/registry/src/index-1/foo-1.0.0",
            ),
            ("tests/tests/health.rs", "tests"),
            ("build.rs", ""),
        ] {
            assert_eq!(package_of(file), package, "{file}");
        }
    }

    #[test]
    fn the_crate_of_an_executable() {
        assert_eq!(crate_of("orders"), "orders");
        assert_eq!(crate_of("orders-api"), "orders_api");
        assert_eq!(crate_of("health_probe-0123456789abcdef"), "health_probe");
    }
}
