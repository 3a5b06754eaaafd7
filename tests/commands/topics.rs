//! `klamm topic`.
use anyhow::Result;
use harness::{Broker, Options, unique};

use crate::klamm::{done, run};

#[test]
fn a_topic_is_made_described_altered_and_deleted() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let at = broker.bootstrap();
    let topic = unique("made");
    done(
        at,
        &[
            "topic",
            "create",
            &topic,
            "-p",
            "2",
            "-c",
            "retention.ms=5000",
        ],
        "",
    )?;
    let listed = done(at, &["topic", "list", "--json"], "")?.json()?;
    let row = listed.iter().find(|row| row["topic"] == topic.as_str());
    assert_eq!(row.map(|row| &row["partitions"]), Some(&2.into()));

    done(
        at,
        &["topic", "alter", &topic, "-p", "3", "-c", "segment.ms=9000"],
        "",
    )?;
    done(
        at,
        &["topic", "alter", &topic, "--delete-config", "retention.ms"],
        "",
    )?;
    let rows = done(at, &["topic", "describe", &topic, "--json"], "")?.json()?;
    let (configs, partitions): (Vec<_>, Vec<_>) = rows
        .into_iter()
        .partition(|row| row.get("config").is_some());
    assert_eq!(partitions.len(), 3);
    assert!(partitions.iter().all(|row| row["end_offset"] == 0));
    assert_eq!(configs.len(), 1, "{configs:?}");
    assert_eq!(
        (&configs[0]["config"], &configs[0]["value"]),
        (&"segment.ms".into(), &"9000".into())
    );

    done(at, &["topic", "delete", &topic], "")?;
    let gone = run(at, &["topic", "describe", &topic], "")?;
    assert_eq!(gone.code, Some(1));
    Ok(())
}

#[test]
fn exit_codes_tell_refusals_usage_and_absence_apart() -> Result<()> {
    let broker = Broker::start(Options::default())?;
    let at = broker.bootstrap();
    let topic = unique("codes");
    done(at, &["topic", "create", &topic], "")?;
    let code = |args: &[&str]| anyhow::Ok(run(at, args, "")?.code);
    assert_eq!(code(&["topic", "create", &topic])?, Some(1));
    assert_eq!(
        code(&["topic", "create", &topic, "--if-not-exists"])?,
        Some(0)
    );
    assert_eq!(
        code(&["topic", "create", &unique("bad"), "-c", "no.such.config=1"])?,
        Some(1)
    );
    assert_eq!(code(&["topic", "delete", &unique("absent")])?, Some(1));
    assert_eq!(
        code(&["topic", "delete", &unique("absent"), "--if-exists"])?,
        Some(0)
    );
    assert_eq!(
        code(&["topic", "alter", &topic])?,
        Some(2),
        "nothing to alter"
    );
    assert_eq!(code(&["topic", "create"])?, Some(2), "no name");
    assert_eq!(
        code(&["consume", &topic, "-p", "7"])?,
        Some(2),
        "no such partition"
    );
    let absent = run("127.0.0.1:1", &["topic", "list"], "")?;
    assert_eq!(absent.code, Some(3));
    assert!(absent.err.contains("127.0.0.1:1"), "{}", absent.err);
    Ok(())
}
