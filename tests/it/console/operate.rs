//! The operators' pages: sources, dead letters tried again, the books; and users by the command line.

use super::{Browser, between, place, text};
use crate::world::ring::{key, ring};
use crate::world::{self, Service};
use ringfence::authenticate::keys::Role;
use ringfence::clock::Clock;
use std::io::Write as _;
use std::process::{Command, Stdio};

#[tokio::test]
async fn an_operator_sees_sources_letters_and_books() {
    let service = Service::start(&[]).await;
    ring(&service).await;
    let mut operator = Browser::signed_in(&service, &key(&service, Role::Operator, None)).await;
    let unread = world::event("e99", "clearing", "p99", "tok_ring_0", 4_000, "2026-11-21T11:00:00Z", "123456");
    let (status, _) = service.post("visa-eu", unread.replace("\"clearing\"", "\"sneezed\"")).await;
    assert_eq!(status, 422);
    assert_eq!(service.send("POST", "/v1/webhooks/visa-eu", &[], b"{}".to_vec()).await.status, 401);

    let body = text(&operator.get("/console/sources").await);
    for said in ["visa-eu", "stripe", "learning", "/console/dead-letters", "Turned away since the start"] {
        assert!(body.contains(said), "{said}: {body}");
    }
    let page = operator.get("/console/dead-letters").await;
    let body = text(&page);
    assert!(body.contains("sneezed") && body.contains("Replay"), "{body}");
    let id: u64 = between(&body, "/console/dead-letters/", "/replay").parse().unwrap();
    let again = operator.post(&format!("/console/dead-letters/{id}/replay"), &page, &[]).await;
    assert!(text(&again).contains("cannot be understood yet"), "{}", text(&again));
    assert_eq!(operator.post("/console/dead-letters/123456789/replay", &page, &[]).await.status, 404);

    let body = text(&operator.get("/console/ledger").await);
    assert!(body.contains(">balanced<") && body.contains("12.00 USD") && body.contains("member posted"), "{body}");
    assert!(body.contains("/console/members/ring-0"), "{body}");
    assert_eq!(operator.get("/console/ledger?cursor=nonsense").await.status, 400);
    let body = text(&operator.get("/console/state").await);
    for said in ["takes commits", "Records behind", "embedded", "Partitions of members (", ">taken<"] {
        assert!(body.contains(said), "{said}: {body}");
    }
    service.stop().await;
}

#[tokio::test]
async fn an_act_is_on_the_audit_list_before_it_is_done() {
    let service = Service::start(&[]).await;
    let id = ring(&service).await;
    let mut analyst = Browser::signed_in(&service, &key(&service, Role::Risk, None)).await;
    let path = format!("/console/cases/{id}");
    let page = analyst.get(&path).await;
    let review = [("verdict", "confirm"), ("who", "all"), ("scope", "program"), ("reason", "seen")];
    let without = [("verdict", "confirm"), ("who", "all"), ("scope", "program")];
    assert_eq!(analyst.post(&format!("{path}/review"), &page, &without).await.status, 422);
    assert_eq!(analyst.get("/console/ledger").await.status, 403);
    let outcomes = || {
        let entries = service.doors.console.audit.newest().unwrap().into_iter().rev();
        entries.map(|entry| format!("{} {}", entry.outcome.as_str(), entry.did)).collect::<Vec<_>>()
    };
    let confirm = format!("confirm case {id}");
    let said = [
        "done sign in".to_owned(),
        format!("done read case {id}"),
        format!("begun {confirm}"),
        format!("refused {confirm}"),
        "refused read the ledger".to_owned(),
    ];
    assert_eq!(outcomes(), said);
    // A list that cannot be written: nothing is shown and nothing is done.
    let file = service.doors.keys.path().with_file_name("console-audit.jsonl");
    let aside = file.with_extension("aside");
    std::fs::rename(&file, &aside).unwrap();
    std::fs::create_dir(&file).unwrap();
    assert_eq!(analyst.get(&path).await.status, 503);
    assert_eq!(analyst.post(&format!("{path}/review"), &page, &review).await.status, 503);
    let case = service.engine().case(id).await.unwrap().unwrap();
    assert_eq!(case.status.as_str(), "open");
    std::fs::remove_dir(&file).unwrap();
    std::fs::rename(&aside, &file).unwrap();
    assert_eq!(analyst.post(&format!("{path}/review"), &page, &review).await.status, 303);
    assert_eq!(outcomes()[5..], [format!("begun {confirm}"), format!("done {confirm}")]);
    assert_eq!(analyst.get("/console/cases/counts").await.status, 200);
    assert_eq!(outcomes().len(), 7, "what shows nothing of anybody is not on it");
    service.stop().await;
}

/// Runs the program beside the service; what it says, or `None` when it refuses.
fn run(service: &Service, words: &[&str], input: &str) -> Option<String> {
    let store = format!("embedded:{}", service.folder.0.display());
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringfence"));
    let (first, rest) = words.split_first().unwrap();
    command.arg(first).arg("--store").arg(store).args(rest);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    done.status.success().then(|| String::from_utf8(done.stdout).unwrap())
}

#[tokio::test]
async fn users_are_entered_by_the_command_line_beside_a_running_service() {
    let service = Service::start(&[]).await;
    service.clock.set(Clock::Machine.now());
    let link = run(&service, &["users", "add", "anna", "--role", "risk"], "").unwrap();
    assert_eq!(run(&service, &["users", "add", "anna", "--role", "risk"], ""), None, "the name is taken");
    assert_eq!(run(&service, &["users", "add", "bea", "--role", "merchant"], ""), None, "whose merchant?");
    let token = between(&link, "once=", "\n");
    let mut anna = Browser::new(&service);
    let door = anna.get(&format!("/console/sign-in?once={token}")).await;
    let entered = anna.post("/console/sign-in", &door, &[("once", &token)]).await;
    assert_eq!(place(&entered), "/console/password");

    assert_eq!(run(&service, &["users", "password", "anna"], "too short\n"), None);
    assert!(run(&service, &["users", "password", "anna"], "a good long one\n").is_some());
    service.doors.keys.reload_if_changed().unwrap();
    assert_eq!(anna.get("/console/cases").await.status, 303, "what began before the password is over");
    let door = anna.get("/console/sign-in").await;
    let entered = anna.post("/console/sign-in", &door, &[("name", "anna"), ("password", "a good long one")]).await;
    assert_eq!(place(&entered), "/console/cases");
    assert!(run(&service, &["users", "list"], "").unwrap().contains("anna"));
    assert!(run(&service, &["users", "remove", "anna"], "").is_some());
    service.doors.keys.reload_if_changed().unwrap();
    assert_eq!(anna.get("/console/cases").await.status, 303);
    assert_eq!(run(&service, &["users", "link", "anna"], ""), None);
    service.stop().await;
}
