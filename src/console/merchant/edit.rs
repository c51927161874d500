//! Writing an offer: from a programme or from what there is, as the document that
//! `PUT /v1/offers/{id}` takes, read by the same reader while one types.

use super::offer::offer_id;
use super::simple::Simple;
use crate::api::Doors;
use crate::api::offer_document::{OfferDocument, Warning, warnings};
use crate::api::offers;
use crate::api::read;
use crate::api::reply::Reply;
use crate::console::page::{self, Chrome, Visitor, encoded};
use crate::domain::offer::Terms;
use crate::domain::{MerchantId, OfferId};
use crate::programmes;
use askama::Template;
use hyper::StatusCode;

/// What a member sees of an offer, on a card as wide as a phone.
pub(super) struct Card {
    /// What it is called.
    pub title: String,
    /// Whose it is.
    pub merchant: String,
    /// What it gives.
    pub words: String,
    /// Until when; empty when it has no end.
    pub until: String,
    /// Whether members must opt in.
    pub opt_in: bool,
    /// The terms; empty when there are none.
    pub terms_text: String,
}

impl Card {
    /// The card of some terms.
    pub(super) fn of(terms: &Terms) -> Self {
        Self {
            title: terms.title.clone(),
            merchant: terms.merchant.to_string(),
            words: terms.in_words(),
            until: terms.ends.map_or_else(String::new, |ends| ends.strftime("%-d %B %Y, %H:%M").to_string()),
            opt_in: terms.activation == crate::domain::offer::Activation::Required,
            terms_text: terms.shown.terms.clone().unwrap_or_default(),
        }
    }
}

/// How often a member may use an offer, as the form says it.
const PERIODS: [(&str, &str); 5] = [
    ("", "As often as they like"),
    ("day", "Once a day"),
    ("week", "Once a week"),
    ("month", "Once a month"),
    ("ever", "Once"),
];

/// For whom an offer is.
const WHO: [(&str, &str); 3] =
    [("", "Everybody"), ("new", "Who buys here for the first time"), ("lapsed", "Who has not bought here for")];
/// On which days.
const ON: [(&str, &str); 3] =
    [("", "Every day"), ("weekdays", "Monday to Friday"), ("weekends", "Saturday and Sunday")];

#[derive(Template)]
#[template(path = "offer_edit.html", config = "src/console/askama.toml")]
struct EditPage {
    chrome: Chrome,
    is_new: bool,
    id: String,
    link: String,
    rests_on: u64,
    document: String,
    programmes: Vec<ProgrammeRow>,
    operator: bool,
    /// `None` when the document says more than the form can.
    simple: Option<Simple>,
    read: ReadPart,
}

/// What the form wrote, for a page whose form is being filled in.
#[derive(Template)]
#[template(path = "offer_written.html", config = "src/console/askama.toml")]
struct WrittenPart {
    /// `None` while a field cannot be read: then what was written before stays.
    document: Option<String>,
    read: ReadPart,
}

struct ProgrammeRow {
    name: &'static str,
    about: String,
    offers: Vec<(String, String)>,
}

/// What the reader says to a document.
#[derive(Template)]
#[template(path = "offer_read.html", config = "src/console/askama.toml")]
struct ReadPart {
    faults: Vec<(String, String)>,
    warnings: Vec<Warning>,
    card: Option<Card>,
}

impl EditPage {
    /// Words to choose from: for whom, on which days, how often.
    fn choices(what: &str, chosen: &str) -> Vec<(&'static str, &'static str, bool)> {
        let all: &[(&str, &str)] = match what {
            "who" => &WHO,
            "on" => &ON,
            _ => &PERIODS,
        };
        all.iter().map(|(word, label)| (*word, *label, *word == chosen)).collect()
    }
}

impl ReadPart {
    fn nothing() -> Self {
        Self { faults: Vec::new(), warnings: Vec::new(), card: None }
    }
    fn faulty(reply: Reply) -> Self {
        let faults = match reply {
            Reply::Problem(problem) => page::faults(&problem),
            _ => Vec::new(),
        };
        Self { faults, ..Self::nothing() }
    }
}

/// Reads a document as `PUT /v1/offers/{id}` does, for a merchant its own alone.
fn read_document(visitor: &Visitor<'_>, text: &str) -> Result<OfferDocument, Reply> {
    let document: OfferDocument = read::parse(text.as_bytes())?;
    crate::api::access::own_merchant(&visitor.caller, &document.merchant)?;
    Ok(document)
}

fn told(visitor: &Visitor<'_>, text: &str) -> ReadPart {
    let id = OfferId::new("preview").expect("a plain word is an id");
    let read = read_document(visitor, text).and_then(|document| Ok(document.into_terms(&id)?));
    match read {
        Ok(terms) => ReadPart { faults: Vec::new(), warnings: warnings(&terms), card: Some(Card::of(&terms)) },
        Err(reply) => ReadPart::faulty(reply),
    }
}

/// Says what is wrong with the document in the form, or shows it as members will see it.
pub(in crate::console) fn validate(visitor: &Visitor<'_>) -> Result<Reply, Reply> {
    Ok(page::page(StatusCode::OK, &told(visitor, visitor.form.get("document"))))
}

/// Writes what the form says as a document, while it is filled in.
pub(in crate::console) fn written(visitor: &Visitor<'_>) -> Result<Reply, Reply> {
    let said = |name: &str| visitor.form.get(name).to_owned();
    let simple = Simple::of(said, visitor.caller.merchant.as_ref()).unwrap_or_default();
    let part = match simple.document() {
        Ok(document) => {
            let document = pretty(&document);
            WrittenPart { read: told(visitor, &document), document: Some(document) }
        }
        Err(refused) => WrittenPart { document: None, read: ReadPart::faulty(refused) },
    };
    Ok(page::page(StatusCode::OK, &part))
}

fn pretty(document: &impl serde::Serialize) -> String {
    serde_json::to_string_pretty(document).unwrap_or_default()
}

/// What the address says of the form; `None` when it was not sent.
fn asked(visitor: &Visitor<'_>) -> Option<Simple> {
    let said = |name: &str| read::query(visitor.request, name).ok().flatten().unwrap_or_default();
    Simple::of(said, visitor.caller.merchant.as_ref())
}

impl Draft {
    /// With what the form says as its document, or what is wrong with it.
    fn with_form(self, simple: Simple) -> Self {
        let (document, read) = match simple.document() {
            Ok(document) => (pretty(&document), None),
            Err(refused) => (self.document, Some(ReadPart::faulty(refused))),
        };
        Self { document, read, simple: Some(simple), ..self }
    }
}

/// A new offer: choose a programme, fill in the common things, or begin with its document.
pub(in crate::console) async fn begin(doors: &Doors, visitor: &Visitor<'_>) -> Result<Reply, Reply> {
    let mut draft = Draft { is_new: true, ..Draft::default() };
    if let Some(simple) = asked(visitor) {
        return Ok(edit_page(visitor, StatusCode::OK, draft.with_form(simple)));
    }
    draft.simple = Some(Simple::default());
    let mut document = None;
    if let Some(copied) = read::query(visitor.request, "copy")? {
        let (_, offer) = offers::seen(doors, &visitor.caller, &offer_id(&copied)?).await?;
        draft.id = format!("{copied}-copy");
        document = Some(OfferDocument::of(&offer.newest().terms));
    } else if let Some((name, offer)) = read::query(visitor.request, "from")?.unwrap_or_default().split_once('/') {
        let found = programmes::find(name)
            .and_then(|programme| programme.offers.into_iter().find(|(known, _)| known.as_str() == offer));
        if let Some((id, found)) = found {
            draft.id = id.to_string();
            document = Some(as_own(found, visitor.caller.merchant.as_ref()));
        }
    }
    if let Some(document) = document {
        draft.document = pretty(&document);
        let id = OfferId::new("preview").expect("a plain word is an id");
        draft.simple = document.into_terms(&id).ok().and_then(|terms| Simple::read(&terms));
    }
    Ok(edit_page(visitor, StatusCode::OK, draft))
}

/// A programme's offer as one of the merchant's own.
fn as_own(mut document: OfferDocument, own: Option<&MerchantId>) -> OfferDocument {
    if let Some(own) = own {
        document.merchant = own.clone();
    }
    document
}

/// An offer that is there.
pub(in crate::console) async fn open(doors: &Doors, visitor: &Visitor<'_>, id: &str) -> Result<Reply, Reply> {
    let (version, offer) = offers::seen(doors, &visitor.caller, &offer_id(id)?).await?;
    let terms = &offer.newest().terms;
    let (document, simple) = (pretty(&OfferDocument::of(terms)), Simple::read(terms));
    let mut draft = Draft { id: id.to_owned(), rests_on: version, document, simple, ..Draft::default() };
    if let Some(simple) = asked(visitor) {
        draft = draft.with_form(simple);
    }
    Ok(edit_page(visitor, StatusCode::OK, draft))
}

/// Enters a new offer.
pub(in crate::console) async fn create(doors: &Doors, visitor: &Visitor<'_>) -> Result<Reply, Reply> {
    let id = visitor.form.get("id").trim().to_owned();
    write(doors, visitor, id, 0).await
}

/// Enters what was changed.
pub(in crate::console) async fn save(doors: &Doors, visitor: &Visitor<'_>, id: &str) -> Result<Reply, Reply> {
    let rests_on = visitor.form.get("document_version").parse().unwrap_or(u64::MAX);
    write(doors, visitor, id.to_owned(), rests_on).await
}

async fn write(doors: &Doors, visitor: &Visitor<'_>, id: String, rests_on: u64) -> Result<Reply, Reply> {
    let text = visitor.form.get("document").to_owned();
    let written = async {
        let offer =
            OfferId::new(&id).map_err(|error| crate::api::reply::impossible("bad_value", "id", error.to_string()))?;
        let document = read_document(visitor, &text)?;
        offers::put_as(doors, &visitor.caller, &offer, document, Some(rests_on)).await
    };
    match written.await {
        Ok(_) => Ok(page::see_other(&format!("/console/offers/{}", encoded(&id)), None)),
        // What was typed stays before whoever typed it.
        Err(Reply::Problem(problem)) => {
            let status = problem.status;
            let read = ReadPart::faulty(Reply::Problem(problem));
            let is_new = rests_on == 0;
            let draft = Draft { is_new, id, rests_on, document: text, read: Some(read), ..Draft::default() };
            Ok(edit_page(visitor, status, draft))
        }
        Err(other) => Err(other),
    }
}

/// What is written at the moment.
#[derive(Default)]
struct Draft {
    is_new: bool,
    id: String,
    rests_on: u64,
    document: String,
    simple: Option<Simple>,
    read: Option<ReadPart>,
}

fn edit_page(visitor: &Visitor<'_>, status: StatusCode, draft: Draft) -> Reply {
    let Draft { is_new, id, rests_on, document, simple, read } = draft;
    let read = read.unwrap_or_else(|| if document.is_empty() { ReadPart::nothing() } else { told(visitor, &document) });
    let programmes = if is_new { programmes::all().map(programme_row).collect() } else { Vec::new() };
    let (link, chrome, operator) = (encoded(&id), visitor.chrome("offers"), visitor.caller.merchant.is_none());
    page::page(status, &EditPage { chrome, operator, is_new, id, link, rests_on, document, programmes, simple, read })
}

fn programme_row((name, programme): (&'static str, programmes::Programme)) -> ProgrammeRow {
    let offers = programme.offers.into_iter().map(|(id, document)| {
        let title = document.title.clone();
        (id.to_string(), title)
    });
    ProgrammeRow { name, about: programme.about, offers: offers.collect() }
}
