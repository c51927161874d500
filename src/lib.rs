//! Ringfence: card-linked offers and fraud screening.
//!
//! Payment networks post signed card webhooks; each is matched against linked offers, and
//! cashback is credited in books that balance, whatever the order, repetition or
//! interruption of delivery. README is for those who run or call it; this page is the map
//! for those who change it.
//!
//! # The life of a webhook
//!
//! ```text
//! bytes -> authenticate -> normalise -> gather -> decide -> journal -> state -> answer
//!  wire     api::webhooks   normalise   pipeline  decide    journal    store    api::reply
//! ```
//!
//! Start with [`pipeline`]: the whole path on one screen. An event is decided in a member's
//! [`engine::turn`]: the input is applied to a copy of the member's state, [`decide::judge`]
//! says what each offer gives for each purchase as a function of the *set* of the member's
//! facts, [`decide::settle`] subtracts what was granted, and the difference becomes
//! transfers. The record goes to the [`journal`] and is synced, then its effect goes to the
//! state ([`store`]), then the answer goes out. Authorization, clearing, reversal, refund,
//! chargeback, the passing of time and a changed offer all take this one path.
//!
//! # The life of a finding
//!
//! ```text
//! records -> links and behaviour -> graph -> findings -> score -> case -> review
//!  journal   follow::resident       graph    detectors   graph    cases   api::cases
//!                                                                            |
//!             decide again <- member's standing <- engine::cases <-----------+
//! ```
//!
//! Detectors never touch money. A review is one record; the members follow by a job, each with a
//! standing ([`record::MemberInput::StandingSet`]) that leads back to its case, and the same
//! subtraction runs again. Nothing becomes available before screening has passed the record that
//! earned it, and nothing is paid while its last pass is too old ([`engine::screened`]).
//!
//! # Where things are
//!
//! | module | what | pure |
//! |---|---|---|
//! | [`domain`] | our words: ids, money, time, card events, purchases, offers, members, merchants | yes |
//! | [`ledger`] | chart of accounts, transfers between two states of a reward | yes |
//! | [`decide`] | worth of a purchase, what a refund that names none comes off, what offers give, the subtraction, what a record does to a state | yes |
//! | [`descriptor`] | statement texts taken apart and matched to shops, with a confidence | yes |
//! | [`normalise`] | one file per provider: their words to ours; the card-number guard | yes |
//! | [`record`] | what one commit says, and all a journal holds | yes |
//! | [`cases`] | what screening found, for people to judge: table of statuses, triage, policy | yes |
//! | [`graph`] | the network of members: infrastructure, groups, features, detectors, the score with its reasons, the fitted model | yes |
//! | [`authenticate`] | webhook signatures, API keys, users and roles, `sign` | |
//! | [`wire`] | HTTP: bounds, limits per caller, problems, orderly stop | |
//! | [`catalogue`] | merchants, offers and the MID index as an immutable snapshot | |
//! | [`sightings`] | the events of the last days as they came, and what leads to them | |
//! | [`again`] | what was seen and becomes ours: found, decided, previewed | |
//! | [`journal`] | frames, hash chain, group commit, recovery; members' keys; disks that fail on purpose | |
//! | [`store`] | the narrow promise of state, what is kept under which key; the keepers: embedded, Redis | |
//! | [`follow`] | the follower of screening: what it keeps of the records, sees live, finds in a pass, and what merchants may know of themselves | |
//! | [`engine`] | journal, state, catalogue and clock in one hand: turns, budgets, daily marks, start and stop; `shared`: many processes on one state | |
//! | [`pipeline`] | the webhook path | |
//! | [`migrate`] | journals replayed into an empty store of another kind, books compared | |
//! | [`ingest`], [`pull`] | bodies by an operator's authority: from files, from a source's pages | |
//! | [`health`] | what a source sent by day and type, against its own totals; its silence against its own habit | |
//! | [`api`] | the doors, one file per audience; `reply` alone knows HTTP statuses | |
//! | [`console`] | pages for the risk desk, merchants and operators, over the same calls as the doors | |
//! | [`audit`] | the books proved from the journal alone, by code that shares nothing with the writer's | |
//! | [`demo`] | a seeded town, its ten programmes and a day of its traffic | |
//! | [`programmes`] | ten loyalty programmes as data | |
//! | [`app`], [`config`], [`telemetry`], [`clock`], [`kept`], [`commands`] | the service put together | |
//!
//! `commands::screen` and `commands::fit` feed [`graph`] from files, apart from any store.
//!
//! `tests/tidy.rs` holds the direction of imports. Nothing pure knows I/O, a clock or a log.
//!
//! # Facts and acts
//!
//! A *fact* counts from its own time: card events, links, activations, profiles, signals,
//! referrals, standings, offer versions, daily marks. A purchase is judged by the facts in
//! force at its time, so their order of arrival cannot matter. An *act* spends what is there:
//! a pay-out, points spent on an offer, a budget's verdict. Acts are recorded in order of
//! arrival and never decided again.
//!
//! # Invariants
//!
//! Tests carry their numbers (`inv_04_…`).
//!
//! 1. Verified before parsed.
//! 2. One input, one effect.
//! 3. The books balance and only grow.
//! 4. Granted equals due, per purchase and offer, for every order of arrival.
//! 5. Budgets and caps hold, pending amounts included.
//! 6. Decisions are pure: replaying the journal rebuilds the same state.
//! 7. Durable before acknowledged.
//! 8. Evidence before suspicion, decision before consequence.
//! 9. Everything is bounded.
//! 10. No card number and no secret leaves its type.

pub mod again;
pub mod api;
pub mod app;
pub mod audit;
pub mod authenticate;
pub mod cases;
pub mod catalogue;
pub mod clock;
pub mod commands;
pub mod config;
pub mod console;
pub mod decide;
pub mod demo;
pub mod descriptor;
pub mod domain;
pub mod engine;
pub mod follow;
pub mod graph;
pub mod health;
pub mod ingest;
pub mod journal;
pub mod kept;
pub mod ledger;
pub mod migrate;
pub mod normalise;
pub mod pipeline;
pub mod programmes;
pub mod pull;
pub mod record;
pub mod sightings;
pub mod store;
pub mod telemetry;
pub mod wire;
