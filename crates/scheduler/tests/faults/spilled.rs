//! Blocks on a disk that fails, is full, or gives back other bytes.

use super::*;

#[test]
fn spilled_blocks_come_back_and_none_is_written_twice() {
    let (graph, output, expected) = overflowing();
    for threads in [1, 2, 4] {
        let faults = Arc::new(Faults::default());
        let session = tight(&faults, threads);
        let idle = session.granted_bytes();
        assert_eq!(result(&session, &graph, output).expect("it fits"), expected);
        let stats = session.last_stats();
        assert!(
            stats.bytes_spilled > 1_000_000 && stats.bytes_reloaded > 1_000_000,
            "{stats:?}"
        );
        for layer in &stats.layers {
            assert!(
                layer.spilled <= layer.tasks,
                "a block was written twice: {layer:?}"
            );
        }
        assert!(stats.ledger_peak_bytes <= 1 << 20);
        assert_eq!(held(&session), (idle, 0));
    }
}

#[test]
fn every_failing_spill_ends_in_an_error_or_the_right_result() {
    let (graph, output, expected) = overflowing();
    for kind in [io::ErrorKind::StorageFull, io::ErrorKind::Other] {
        for n in (1..500).step_by(37) {
            let faults = Arc::new(Faults {
                fail_write: n,
                stays_full: true,
                kind: Some(kind),
                ..Faults::default()
            });
            let session = tight(&faults, 2);
            let idle = session.granted_bytes();
            match result(&session, &graph, output) {
                Ok(value) => assert_eq!(value, expected),
                Err(error) => {
                    let full = kind == io::ErrorKind::StorageFull;
                    assert_eq!(error.is_out_of_disk(), full, "{error}");
                    let message = error.to_string();
                    assert!(message.contains("the test medium"), "{message}");
                    assert!(message.contains("12.1 KiB free"), "{message}");
                }
            }
            assert_eq!(held(&session), (idle, 0), "write {n}");
        }
    }
}

#[test]
fn a_spill_quota_is_an_error_that_names_it() {
    let (graph, output, _) = overflowing();
    let session = Session::builder()
        .memory("1 MiB")
        .threads(2)
        .spill_quota_bytes(300_000)
        .spill_medium(Medium(Arc::default()))
        .build()
        .expect("the session starts");
    let error = result(&session, &graph, output).expect_err("the quota is too small");
    assert!(error.is_out_of_disk(), "{error}");
    assert!(error.to_string().contains("293 KiB"), "{error}");
}

#[test]
fn a_quota_that_cannot_do_is_refused_before_anything_runs() {
    let (graph, output, expected) = overflowing();
    let quota = |bytes: u64| {
        let faults = Arc::new(Faults::default());
        let session = Session::builder()
            .memory("1 MiB")
            .threads(2)
            .spill_quota_bytes(bytes)
            .spill_medium(Medium(faults))
            .build()
            .expect("the session starts");
        let program = session.freeze(&graph, &[output]).expect("it is planned");
        let refusal = session.certify(&program).refusal(&program);
        (session, refusal)
    };
    // 24 blocks of 100 kB are needed at once
    let held = 24 * 100_000u64;
    for bytes in [0, 300_000, held - (1 << 20)] {
        let (session, refusal) = quota(bytes);
        let refusal = refusal.expect("what does not fit cannot be spilled");
        assert!(refusal.is_out_of_disk(), "{refusal}");
        let error = result(&session, &graph, output).expect_err("it is refused");
        assert_eq!(error.message(), refusal.message());
        assert_eq!(session.last_stats().tasks, 0, "{error}");
    }
    // what may be enough is tried
    let (session, refusal) = quota(held + 100_000);
    assert!(refusal.is_none());
    assert_eq!(result(&session, &graph, output).expect("it fits"), expected);
}

#[test]
fn a_flipped_bit_on_disk_is_an_error_never_an_answer() {
    let (graph, output, expected) = overflowing();
    let mut caught = 0;
    for n in (1..200).step_by(13) {
        let faults = Arc::new(Faults {
            corrupt_read: n,
            ..Faults::default()
        });
        let session = tight(&faults, 2);
        match result(&session, &graph, output) {
            Ok(value) => assert_eq!(value, expected),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Spill, "{error}");
                assert!(error.to_string().contains("checksum"), "{error}");
                caught += 1;
            }
        }
    }
    assert!(caught > 0, "no spilled block was ever read");
}
