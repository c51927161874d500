//! Runs `tests/stories/*.txt`: one line, one thing that happens, with what follows behind
//! `->`. A mismatch names file and line.
//!
//! ```text
//! offer     O1  merchant M1  5%  budget 100.00     terms as in `said::terms`, in any order
//! activate  ann O1 [@time]                         also `deactivate`
//! at        2026-11-02T12:00                       the clock; each event is a minute later
//! auth      e1  ann M1  40.00                      opens a purchase named by its event
//! clear     e2  of e1   38.00 [words of `said`]    follows the purchase of another event
//! clear     e2  of e1   38.00                      the same again: a duplicate
//! mark      2026-11-20                             the day's mark: lapses, ends of hold
//! redeem    ann 1.00                               pay-out
//! standing  ann held|barred|clear [since time] [ask_back]
//! pause     O1                                     also `resume`, `end`; from the clock on
//! balance   ann 0.95 | ann pending 2.00 owed 0.50  all but paid, less owed; or by parts
//! ```
//!
//! What follows, all of it, in any order: `pend`, `post`, `avail`, `freeze` and the amount
//! the reward now has there when it came or moved there, or the amount added when it was
//! there; `release` (was promised, not given) and `claw back` (was given); `owe` and `lose`
//! for what was paid before; `duplicate`, `nothing`, `paid`, `settle`, `refused` and a code.
//! `by O2` says which offer, `for e1` which purchase, when it is not the line's own.

use crate::desk::{Desk, Shelf, Step, purchase, usd};
use crate::said;
use ringfence::domain::member::{ActivationStep, Standing, StandingOrigin, StandingStep};
use ringfence::domain::offer::{LifeChange, LifeStep};
use ringfence::domain::purchase::{Grant, Stage};
use ringfence::domain::{OfferId, PurchaseKey, Timestamp};
use ringfence::record::MemberInput;
use std::collections::BTreeMap;

#[test]
fn stories_end_as_they_say() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stories");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ext| ext == "txt"));
    files.sort();
    assert!(files.len() >= 10, "the stories are missing");
    let mut wrong = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if let Err((line, problem)) = tell(&text) {
            wrong.push(format!("tests/stories/{name}:{line}: {problem}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_story_that_is_wrong_is_told_by_its_line() {
    let start = "offer O1 merchant M1 5%\nauth e1 ann M1 40.00 -> pend 2.00\n";
    for (more, line, problem) in [
        ("clear e2 of e1 38.00 -> post 1.80", 3, "no `post 1.80`; left: post 1.90, release 0.10"),
        ("clear e2 of e1 38.00 -> post 1.90", 3, "not told: release 0.10"),
        ("\n# a note\nbalance ann 1.00", 5, "balance is 2.00"),
        ("clear e2 of e9 38.00 -> nothing", 3, "no event `e9`"),
        ("auth e1 ann M1 40.00 -> duplicate\nauth e1 ann M1 41.00 -> duplicate", 4, "conflict"),
        ("dance", 3, "unknown word `dance`"),
        ("auth e3 ann M1 40.00 gold -> nothing", 3, "unknown word `gold`"),
    ] {
        let (found, text) = tell(&format!("{start}{more}")).unwrap_err();
        assert!(found == line && text.contains(problem), "{more}: found line {found}, `{text}`");
    }
}

struct Story {
    desk: Desk,
    now: Timestamp,
    /// Event to its purchase and words.
    events: BTreeMap<String, (String, String)>,
}

/// What a line brought, as clauses.
type Told = Result<Vec<Clause>, String>;

struct Clause {
    text: String,
    offer: Option<String>,
    purchase: Option<String>,
}

fn tell(text: &str) -> Result<(), (usize, String)> {
    let mut story = Story {
        desk: Desk::new(Shelf::default()),
        now: Timestamp::parse("2026-11-02T12:00:00Z").expect("a fixed text"),
        events: BTreeMap::new(),
    };
    for (n, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let (what, expected) = line.split_once("->").map_or((line, None), |(what, then)| (what, Some(then)));
        story.line(what, expected).map_err(|problem| (n, format!("{problem} (in `{line}`)")))?;
        story.desk.audit();
    }
    Ok(())
}

fn money(minor: i64) -> String {
    format!("{}.{:02}", minor / 100, minor % 100)
}

impl Story {
    fn line(&mut self, what: &str, expected: Option<&str>) -> Result<(), String> {
        let words: Vec<&str> = what.split_whitespace().collect();
        let (own, told) = self.happen(&words)?;
        compare(expected, told, own.as_deref())
    }

    /// Does what a line says; returns the event's purchase and what came of it.
    fn happen(&mut self, words: &[&str]) -> Result<(Option<String>, Vec<Clause>), String> {
        let arg = |n: usize| words.get(n).copied().ok_or_else(|| format!("word {} is missing", n + 1));
        let offer = |n: usize| OfferId::new(arg(n)?).map_err(|e| e.to_string());
        let told = match words[0] {
            "offer" => self.offer(words)?,
            "at" => {
                self.now = said::time(arg(1)?, self.now).ok_or("bad time")?;
                Vec::new()
            }
            word @ ("activate" | "deactivate") => {
                let at = self.time_in(words)?.unwrap_or(self.now);
                let step = ActivationStep { offer: offer(2)?, at, active: word == "activate" };
                let step = self.desk.step(MemberInput::Activated(step));
                clauses(&step)
            }
            "mark" => {
                self.now = said::time(arg(1)?, self.now).ok_or("bad day")?;
                let step = self.desk.mark(self.now);
                clauses(&step)
            }
            "standing" => {
                let step = self.standing(words)?;
                clauses(&self.desk.step(step))
            }
            word @ ("pause" | "resume" | "end") => {
                let change = match word {
                    "pause" => LifeChange::Paused,
                    "resume" => LifeChange::Resumed,
                    _ => LifeChange::Ended,
                };
                let effective = self.now;
                self.desk.shelf.change(arg(1)?, |offer| offer.step(LifeStep { effective, change }));
                Vec::new()
            }
            "redeem" => self.redeem(arg(2)?)?,
            "balance" => {
                self.balance(&words[2..])?;
                Vec::new()
            }
            _ => return self.event(words),
        };
        Ok((None, told))
    }

    fn offer(&mut self, words: &[&str]) -> Told {
        let id = words.get(1).ok_or("an offer has a name")?;
        // The reward may stand anywhere in the line; `said::terms` wants it first.
        let rest = &words[2..];
        let at = rest.iter().position(|word| word.ends_with('%') || *word == "fixed").ok_or("no reward")?;
        let length = if rest[at] == "fixed" { 2 } else { 1 };
        let line = [&rest[at..at + length], &rest[..at], &rest[at + length..]].concat().join(" ");
        self.desk.shelf.publish(id, said::terms(&line)?);
        Ok(Vec::new())
    }

    fn standing(&self, words: &[&str]) -> Result<MemberInput, String> {
        let standing = match words.get(2) {
            Some(&"held") => Standing::Held,
            Some(&"barred") => Standing::Barred,
            Some(&"clear") => Standing::Clear,
            _ => return Err("a standing is held, barred or clear".to_owned()),
        };
        let since = words.iter().position(|word| *word == "since").and_then(|at| words.get(at + 1));
        let since = since.map(|text| said::time(text, self.now).ok_or("bad time")).transpose()?;
        let (since, ask_back) = (since.unwrap_or_default(), words.contains(&"ask_back"));
        let set_at = self.now.plus_ms(i64::try_from(self.desk.member.head.standings.len()).unwrap_or(0));
        Ok(MemberInput::StandingSet(StandingStep {
            merchant: None,
            standing,
            since,
            set_at,
            ask_back,
            until: None,
            origin: StandingOrigin::Said,
        }))
    }

    fn redeem(&mut self, wanted: &str) -> Told {
        let minor = said::amount(wanted).ok_or("bad amount")?;
        let owed = self.desk.member.head.balance(usd()).owed_minor;
        if !self.desk.redeem(minor, usd()) {
            return Ok(vec![clause("refused not_enough".to_owned())]);
        }
        let mut told = vec![clause(format!("paid {}", money(minor)))];
        if owed > 0 {
            told.push(clause(format!("settle {}", money(owed))));
        }
        Ok(told)
    }

    fn balance(&self, words: &[&str]) -> Result<(), String> {
        let b = self.desk.member.head.balance(usd());
        if let [total] = words {
            let has = b.pending_minor + b.posted_minor + b.held_minor + b.available_minor - b.owed_minor;
            let same = said::amount(total).ok_or("bad amount")? == has;
            return if same { Ok(()) } else { Err(format!("balance is {}", money(has))) };
        }
        for pair in words.chunks(2) {
            let [part, minor] = pair else { return Err("a part has an amount".to_owned()) };
            let has = match *part {
                "pending" => b.pending_minor,
                "posted" => b.posted_minor,
                "held" => b.held_minor,
                "available" => b.available_minor,
                "paid" => b.paid_minor,
                "owed" => b.owed_minor,
                other => return Err(format!("unknown part `{other}`")),
            };
            if said::amount(minor).ok_or("bad amount")? != has {
                return Err(format!("{part} is {}", money(has)));
            }
        }
        Ok(())
    }

    fn time_in(&self, words: &[&str]) -> Result<Option<Timestamp>, String> {
        let word = words.iter().find_map(|word| word.strip_prefix('@'));
        word.map(|text| said::time(text, self.now).ok_or_else(|| "bad time".to_owned())).transpose()
    }

    fn event(&mut self, words: &[&str]) -> Result<(Option<String>, Vec<Clause>), String> {
        if !said::KINDS.iter().any(|(word, _)| *word == words[0]) {
            return Err(format!("unknown word `{}`", words[0]));
        }
        let [kind, id, how, whom, rest @ ..] = words else { return Err("an event has at least four words".to_owned()) };
        let (of, mut line) = match *how {
            "of" => {
                let of = self.events.get(*whom).ok_or_else(|| format!("no event `{whom}`"))?;
                let shop = of.1.split_whitespace().skip_while(|word| *word != "at").nth(1).unwrap_or("M1");
                (of.0.clone(), format!("{kind} {} at {shop}", rest.join(" ")))
            }
            "ann" => ((*id).to_owned(), format!("{kind} {} at {whom}", rest.join(" "))),
            other => return Err(format!("unknown member `{other}`")),
        };
        // The last words win, so a shop that an event names itself stands behind its purchase's.
        if rest.contains(&"at") {
            line = format!("{kind} {}", rest.join(" "));
        }
        if let Some((_, before)) = self.events.get(*id) {
            let same = *before == line;
            return if same { Ok((None, vec![clause("duplicate".to_owned())])) } else { Err("conflict".to_owned()) };
        }
        self.now = self.now.plus_ms(60_000);
        let input = said::try_event(&line, self.now, &of, id)?;
        self.events.insert((*id).to_owned(), (of.clone(), line));
        let step = self.desk.event(input).ok_or("the desk has seen the event before")?;
        let mut told = clauses(&step);
        told.extend(self.refusals(&step, &purchase("net", &of)));
        Ok((Some(of), told))
    }

    fn refusals(&self, step: &Step, own: &PurchaseKey) -> Vec<Clause> {
        let at = self.desk.member.find(own);
        let judged = step.judged.iter().filter(|judged| Some(judged.index) == at).flat_map(|judged| &judged.lines);
        let refused = judged.filter_map(|line| Some((line.offer.to_string(), line.refusal.as_ref()?.code())));
        refused
            .map(|(offer, code)| Clause { text: format!("refused {code}"), offer: Some(offer), purchase: None })
            .collect()
    }
}

fn clause(text: String) -> Clause {
    Clause { text, offer: None, purchase: None }
}

/// What a step moved, in words.
fn clauses(step: &Step) -> Vec<Clause> {
    let mut told = Vec::new();
    for (key, old, new) in &step.moved {
        for text in moved(old.as_ref(), new) {
            told.push(Clause { text, offer: Some(new.offer.to_string()), purchase: Some(key.id.to_string()) });
        }
    }
    told
}

fn moved(old: Option<&Grant>, new: &Grant) -> Vec<String> {
    let place = |grant: &Grant| match (grant.held, grant.stage) {
        (true, _) => "freeze",
        (false, Stage::Pending) => "pend",
        (false, Stage::Posted) => "post",
        (false, Stage::Available) => "avail",
    };
    let (had, has) = (old.map_or(0, |old| old.amount_minor), new.amount_minor);
    let stayed = had > 0 && old.is_some_and(|old| place(old) == place(new));
    let mut told = Vec::new();
    if has > 0 && !stayed {
        told.push(format!("{} {}", place(new), money(has)));
    } else if has > had {
        told.push(format!("{} {}", place(new), money(has - had)));
    }
    if has < had {
        let promised = old.is_some_and(|old| old.stage == Stage::Pending);
        told.push(format!("{} {}", if promised { "release" } else { "claw back" }, money(had - has)));
    }
    for (lost, word, back) in [(false, "owe", "forgive"), (true, "lose", "recover")] {
        let excess = |grant: &Grant| if grant.lost == lost { grant.excess_minor() } else { 0 };
        let by = excess(new) - old.map_or(0, excess);
        if by != 0 {
            told.push(format!("{} {}", if by > 0 { word } else { back }, money(by.abs())));
        }
    }
    told
}

/// Every expected clause must be there, and every clause expected; refusals need not be told.
fn compare(expected: Option<&str>, mut told: Vec<Clause>, own: Option<&str>) -> Result<(), String> {
    let Some(expected) = expected else { return Ok(()) };
    for wanted in expected.split(',').map(str::trim).filter(|text| *text != "nothing") {
        let (rest, purchase) = wanted.split_once(" for ").map_or((wanted, None), |(a, b)| (a, Some(b.trim())));
        let (text, offer) = rest.split_once(" by ").map_or((rest, None), |(a, b)| (a, Some(b.trim())));
        let fits = |clause: &Clause| {
            let other = purchase.or(own);
            clause.text == text
                && offer.is_none_or(|offer| clause.offer.as_deref() == Some(offer))
                && (clause.purchase.is_none() || other.is_none() || clause.purchase.as_deref() == other)
        };
        let Some(at) = told.iter().position(fits) else {
            return Err(format!("no `{wanted}`; left: {}", list(&told, own)));
        };
        told.remove(at);
    }
    told.retain(|clause| !clause.text.starts_with("refused"));
    if told.is_empty() { Ok(()) } else { Err(format!("not told: {}", list(&told, own))) }
}

fn list(told: &[Clause], own: Option<&str>) -> String {
    let text = |clause: &Clause| match &clause.purchase {
        Some(purchase) if own.is_some() && own != Some(purchase) => format!("{} for {purchase}", clause.text),
        _ => clause.text.clone(),
    };
    told.iter().map(text).collect::<Vec<_>>().join(", ")
}
