use super::*;

struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        let unique = format!("vitalsign-spool-{}-{}", std::process::id(), unix_nanos());
        Self(std::env::temp_dir().join(unique))
    }

    fn config(&self, max_bytes: u64) -> config::Spool {
        config::Spool {
            dir: self.0.clone(),
            max_bytes,
            sync: config::SpoolSync::Always,
        }
    }

    fn open(&self) -> Spool {
        Spool::open(&self.config(1 << 20), [true; 3]).unwrap()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn files(root: &Path) -> Vec<PathBuf> {
    let folders = fs::read_dir(root).unwrap().flatten();
    let files = folders.flat_map(|folder| fs::read_dir(folder.path()).unwrap().flatten());
    let mut files: Vec<_> = files
        .map(|file| file.path())
        .filter(|path| path.extension().is_some())
        .collect();
    files.sort();
    files
}

#[test]
fn first_in_first_out_by_signal() {
    let dir = Dir::new();
    let spool = dir.open();
    for (signal, body) in [
        (Signal::Traces, "one"),
        (Signal::Logs, "two"),
        (Signal::Traces, "three"),
    ] {
        spool.write(signal, body.as_bytes(), 2, || ()).unwrap();
    }
    assert_eq!(
        (spool.backlog(Signal::Traces), spool.pending(Signal::Traces, || 0)),
        (2, 4)
    );
    let (entry, body) = spool.take(Signal::Traces).unwrap().unwrap();
    assert_eq!((&body[..], spool.pending(Signal::Traces, || 0)), (&b"one"[..], 4));
    spool.put_back(entry);
    let (entry, body) = spool.take(Signal::Traces).unwrap().unwrap();
    assert_eq!(&body[..], b"one");
    spool.done(&entry);
    assert_eq!(spool.pending(Signal::Traces, || 0), 2);
    let (entry, body) = spool.take(Signal::Traces).unwrap().unwrap();
    assert_eq!(&body[..], b"three");
    spool.done(&entry);
    assert!(spool.take(Signal::Traces).unwrap().is_none() && spool.take(Signal::Logs).unwrap().is_some());
}

#[test]
fn the_next_process_adopts_what_is_left_and_a_neighbour_does_not() {
    let dir = Dir::new();
    let first = dir.open();
    first.write(Signal::Traces, b"left", 3, || ()).unwrap();
    let neighbour = dir.open();
    assert_eq!(neighbour.backlog(Signal::Traces), 0, "its process lives");
    drop(first);
    neighbour.adopt();
    assert_eq!(
        (
            neighbour.backlog(Signal::Traces),
            neighbour.pending(Signal::Traces, || 0)
        ),
        (1, 0)
    );
    let (entry, body) = neighbour.take(Signal::Traces).unwrap().unwrap();
    assert_eq!((&body[..], entry.count), (&b"left"[..], 3));
    neighbour.done(&entry);
    drop(neighbour);
    assert_eq!(fs::read_dir(&dir.0).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn neighbours_that_start_together_do_not_take_each_other_for_dead() {
    let dir = Dir::new();
    let start = std::sync::Barrier::new(16);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                start.wait();
                for n in 0..20_u8 {
                    let spool = dir.open();
                    spool.write(Signal::Traces, &[n], 1, || ()).unwrap();
                    spool.adopt();
                    let (entry, body) = spool.take(Signal::Traces).unwrap().expect("its own");
                    assert_eq!((&body[..], entry.adopted), (&[n][..], false));
                    spool.done(&entry);
                }
            });
        }
    });
    assert_eq!(fs::read_dir(&dir.0).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn what_a_process_does_not_send_it_leaves_to_others() {
    let dir = Dir::new();
    let first = dir.open();
    for signal in Signal::ALL {
        first.write(signal, b"left", 1, || ()).unwrap();
    }
    drop(first);
    let spans_only = Spool::open(&dir.config(1 << 20), [true, false, false]).unwrap();
    assert_eq!(Signal::ALL.map(|signal| spans_only.backlog(signal)), [1, 0, 0]);
    let (entry, _) = spans_only.take(Signal::Traces).unwrap().unwrap();
    spans_only.done(&entry);
    let all = dir.open();
    assert_eq!(Signal::ALL.map(|signal| all.backlog(signal)), [0, 1, 1]);
}

#[test]
fn the_oldest_make_room_and_are_counted() {
    let dir = Dir::new();
    let spool = Spool::open(&dir.config(2 * 4096), [true; 3]).unwrap();
    for n in 0..5_u8 {
        spool.write(Signal::Traces, &[n; 100], 10, || ()).unwrap();
    }
    assert_eq!((spool.backlog(Signal::Traces), spool.lost(Signal::Traces)), (2, 30));
    assert_eq!(spool.take(Signal::Traces).unwrap().unwrap().1[0], 3);
    assert!(spool.write(Signal::Traces, &[0; 2 * 4096], 1, || ()).is_err());
}

#[test]
fn files_that_are_cut_flipped_or_forged_are_skipped() {
    let dir = Dir::new();
    let spool = dir.open();
    spool.write(Signal::Traces, b"some bytes of a batch", 1, || ()).unwrap();
    let path = files(&dir.0).remove(0);
    let whole = fs::read(&path).unwrap();
    assert!(batch::read(&path).is_ok());
    for end in 0..whole.len() {
        fs::write(&path, &whole[..end]).unwrap();
        assert!(batch::read(&path).is_err(), "cut at {end}");
    }
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << bit;
            fs::write(&path, &flipped).unwrap();
            assert!(batch::read(&path).is_err(), "bit {bit} of byte {at}");
        }
    }
    let mut longer = whole.clone();
    longer.push(0);
    fs::write(&path, &longer).unwrap();
    assert!(batch::read(&path).is_err());
    // In its own process and in the next.
    assert!(spool.take(Signal::Traces).unwrap().is_none());
    assert_eq!(spool.lost(Signal::Traces), 1);
    spool.write(Signal::Traces, b"x", 1, || ()).unwrap();
    let path = files(&dir.0).remove(0);
    fs::write(&path, b"garbage").unwrap();
    drop(spool);
    assert_eq!(dir.open().backlog(Signal::Traces), 0);
}

#[test]
fn somebody_else_s_files_stay() {
    let dir = Dir::new();
    fs::create_dir_all(dir.0.join("photos")).unwrap();
    fs::write(dir.0.join("photos/a.batch"), b"mine").unwrap();
    fs::write(dir.0.join("notes.txt"), b"mine").unwrap();
    let first = dir.open();
    fs::write(first.disk.folder().join("note"), b"mine").unwrap();
    drop(first);
    drop(dir.open());
    assert_eq!(fs::read(dir.0.join("photos/a.batch")).unwrap(), b"mine");
    assert_eq!(fs::read(dir.0.join("notes.txt")).unwrap(), b"mine");
}

#[test]
fn a_path_that_is_a_file_is_an_error_that_names_the_variable() {
    let dir = Dir::new();
    fs::write(&dir.0, b"").unwrap();
    let error = Spool::open(&dir.config(1 << 20), [true; 3]).err().unwrap();
    assert!(
        error.starts_with("VITALSIGN_SPOOL_DIR=") && error.contains("in memory only"),
        "{error}"
    );
    fs::remove_file(&dir.0).unwrap();
}

#[test]
fn a_folder_that_vanishes_is_an_error_not_a_panic() {
    let dir = Dir::new();
    let spool = dir.open();
    fs::remove_dir_all(&dir.0).unwrap();
    assert!(spool.write(Signal::Logs, b"x", 1, || ()).is_err());
    assert_eq!(spool.backlog(Signal::Logs), 0);
}
