//! The books: their sums, which must come to zero, and every transfer in order of the journal.

use crate::api::Doors;
use crate::api::books::{self, MerchantSum, TrialBalanceView};
use crate::api::money::TransferView;
use crate::api::page as lists;
use crate::api::reply::Reply;
use crate::console::page::{self, Chrome, Visitor, encoded};
use crate::console::words;
use crate::engine::look::TransferPlace;
use askama::Template;
use hyper::StatusCode;

/// Merchants' accounts that the page shows: those that hold most.
const MERCHANTS_MAX: usize = 50;

#[derive(Template)]
#[template(path = "ledger.html", config = "src/console/askama.toml")]
struct LedgerPage {
    chrome: Chrome,
    balanced: bool,
    accounts: Vec<(String, String)>,
    sums: Vec<String>,
    merchants: Vec<(String, String, String)>,
    merchants_left_out: usize,
    transfers: Vec<Row>,
    first: bool,
    next: Option<String>,
}

struct Row {
    at: String,
    amount: String,
    from: String,
    to: String,
    member: String,
    link: String,
    offer: String,
    merchant: String,
    record: String,
}

/// The page.
pub(in crate::console) async fn show(doors: &Doors, visitor: &Visitor<'_>) -> Result<Reply, Reply> {
    let books = books::summed(doors, true).await?;
    let place = lists::page::<TransferPlace>(visitor.request)?;
    let first = place.after.is_none();
    let found = books::listed(doors, &place).await?;
    let (merchants, merchants_left_out) = merchants(&books);
    let account = |sum: &books::AccountSum| (words::plain(sum.account), sum.unit.shown(sum.minor));
    Ok(page::page(
        StatusCode::OK,
        &LedgerPage {
            chrome: visitor.chrome("ledger"),
            balanced: books.balanced,
            accounts: books.accounts.iter().filter(|sum| sum.minor != 0).map(account).collect(),
            sums: books.sums.iter().map(|sum| sum.unit.shown(sum.minor)).collect(),
            merchants,
            merchants_left_out,
            transfers: found.transfers.iter().map(row).collect(),
            first,
            next: found.next_cursor.map(|cursor| format!("/console/ledger?cursor={cursor}")),
        },
    ))
}

fn merchants(books: &TrialBalanceView) -> (Vec<(String, String, String)>, usize) {
    let mut all: Vec<_> = books.merchants.iter().flatten().filter(|sum| sum.minor != 0).collect();
    all.sort_by_key(|sum| std::cmp::Reverse(sum.minor.unsigned_abs()));
    let left_out = all.len().saturating_sub(MERCHANTS_MAX);
    let row = |sum: &MerchantSum| (sum.merchant.clone(), words::plain(sum.account), sum.unit.shown(sum.minor));
    (all.into_iter().take(MERCHANTS_MAX).map(row).collect(), left_out)
}

fn row(transfer: &TransferView) -> Row {
    let member = transfer.member.clone().unwrap_or_default();
    Row {
        at: words::when(transfer.at),
        amount: transfer.unit.shown(transfer.amount_minor),
        from: words::plain(transfer.debit),
        to: words::plain(transfer.credit),
        link: encoded(&member),
        member,
        offer: transfer.offer.clone().unwrap_or_default(),
        merchant: transfer.merchant.clone().unwrap_or_default(),
        record: transfer.record.clone(),
    }
}
