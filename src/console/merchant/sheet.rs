//! A list of shops and MIDs as a spreadsheet saves it: a line of headings, then a line for each
//! MID. Each line is read as the API reads a shop, so that a fault is told with its line.

use crate::api::merchant_document::{LocationDocument, MerchantDocument, MidDocument};
use crate::console::words;
use crate::domain::{LocationId, MerchantId};

/// Lines that are read.
const LINES_MAX: usize = 10_000;
/// Faults that are told.
const FAULTS_MAX: usize = 100;
/// The headings there are; the first and the last are needed.
const HEADINGS: [&str; 9] = ["location", "name", "city", "postcode", "country", "mcc", "scheme", "acquirer", "mid"];

/// What a list comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sheet {
    /// Lines that are good.
    pub lines: usize,
    /// Shops that are new.
    pub locations: usize,
    /// MIDs that are new.
    pub mids: usize,
    /// Line, and what is wrong with it.
    pub faults: Vec<(u64, String)>,
    /// Faults beyond those that are told.
    pub more: usize,
}

impl Sheet {
    /// What it would enter, in words.
    pub(super) fn said(&self) -> String {
        let parts = [(self.locations, "new shop"), (self.mids, "new MID")];
        let [shops, mids] = parts.map(|(count, of)| words::count(count, of));
        let lines = words::count(self.lines, "line");
        format!("{lines} {} good: {shops}, {mids}.", if self.lines == 1 { "is" } else { "are" })
    }
    fn fault(&mut self, line: u64, what: String) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push((line, what));
        } else {
            self.more += 1;
        }
    }
}

/// Reads a list into a merchant's document; lines with a fault are left out.
pub(super) fn read(text: &str, document: &mut MerchantDocument) -> Sheet {
    let mut sheet = Sheet::default();
    // Spreadsheets separate by semicolon where the comma is the decimal sign.
    let heading = text.lines().next().unwrap_or_default();
    let separator = if heading.contains(';') { b';' } else { b',' };
    let mut reader =
        csv::ReaderBuilder::new().delimiter(separator).trim(csv::Trim::All).flexible(true).from_reader(text.as_bytes());
    let headings: Vec<String> = match reader.headers() {
        Ok(found) => found.iter().map(|name| name.trim_start_matches('\u{feff}').to_ascii_lowercase()).collect(),
        Err(error) => {
            sheet.fault(1, error.to_string());
            return sheet;
        }
    };
    for unknown in headings.iter().filter(|name| !HEADINGS.contains(&name.as_str())) {
        sheet.fault(1, format!("there is no column `{unknown}`; there are {}", HEADINGS.join(", ")));
    }
    for needed in ["location", "mid"] {
        if !headings.iter().any(|name| name == needed) {
            sheet.fault(1, format!("the column `{needed}` is missing; the first line names the columns"));
        }
    }
    if !sheet.faults.is_empty() {
        return sheet;
    }
    for (place, record) in reader.records().enumerate() {
        if place >= LINES_MAX {
            sheet.fault(place as u64 + 2, format!("a list has at most {LINES_MAX} lines; send the rest as another"));
            break;
        }
        let line = match record.as_ref() {
            Ok(record) => record.position().map_or(0, csv::Position::line),
            Err(error) => error.position().map_or(0, csv::Position::line),
        };
        let read = record.map_err(|error| error.to_string()).and_then(|record| shop(&headings, &record));
        match read {
            Ok(shop) => {
                sheet.lines += 1;
                let (locations, mids) = merge(document, shop);
                sheet.locations += locations;
                sheet.mids += mids;
            }
            Err(fault) => sheet.fault(line, fault),
        }
    }
    sheet
}

/// The shop of a line, as the API would take it.
fn shop(headings: &[String], record: &csv::StringRecord) -> Result<LocationDocument, String> {
    if record.iter().any(|field| field.contains(char::REPLACEMENT_CHARACTER)) {
        return Err("has letters that are not UTF-8; save the list as `CSV UTF-8`".to_owned());
    }
    if record.len() > headings.len() {
        return Err(format!("has {} fields, but there are {} columns", record.len(), headings.len()));
    }
    let field = |name: &str| {
        let place = headings.iter().position(|heading| heading == name)?;
        record.get(place).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let id = field("location").ok_or("`location` is empty")?;
    let id = LocationId::new(&id).map_err(|error| format!("`location`: {error}"))?;
    let mid = MidDocument {
        scheme: field("scheme"),
        acquirer: field("acquirer"),
        ..MidDocument::bare(field("mid").ok_or("`mid` is empty")?)
    };
    let shop = LocationDocument {
        name: field("name"),
        city: field("city"),
        postcode: field("postcode"),
        country: field("country"),
        mcc: field("mcc"),
        mids: vec![mid],
        ..LocationDocument::bare(id)
    };
    let alone = MerchantDocument {
        name: "alone".to_owned(),
        time_zone: "UTC".to_owned(),
        locations: vec![shop.clone()],
        competitors: Vec::new(),
    };
    let nobody = MerchantId::new("alone").map_err(|error| error.to_string())?;
    let fault = |fault: crate::api::check::Fault| {
        let path = fault.path.trim_start_matches("locations[0].").replace("mids[0].", "");
        format!("`{path}` {}", fault.detail)
    };
    alone.into_merchant(nobody).map(|_| shop).map_err(fault)
}

/// Puts a shop into a document: new, or what it says and lacks into the one that is there. How
/// many shops and MIDs are new.
pub(super) fn merge(document: &mut MerchantDocument, shop: LocationDocument) -> (usize, usize) {
    let Some(known) = document.locations.iter_mut().find(|known| known.id == shop.id) else {
        let mids = shop.mids.len();
        document.locations.push(shop);
        return (1, mids);
    };
    for (has, said) in [
        (&mut known.name, shop.name),
        (&mut known.city, shop.city),
        (&mut known.postcode, shop.postcode),
        (&mut known.country, shop.country),
        (&mut known.mcc, shop.mcc),
    ] {
        *has = said.or(has.take());
    }
    let mut added = 0;
    for mid in shop.mids {
        let same = |other: &MidDocument| {
            (&other.mid, &other.scheme, &other.acquirer) == (&mid.mid, &mid.scheme, &mid.acquirer)
        };
        if !known.mids.iter().any(same) {
            known.mids.push(mid);
            added += 1;
        }
    }
    (0, added)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> MerchantDocument {
        MerchantDocument {
            name: "Bakery".to_owned(),
            time_zone: "UTC".to_owned(),
            locations: vec![LocationDocument {
                mids: vec![MidDocument::bare("123".to_owned())],
                ..LocationDocument::bare(LocationId::new("market").unwrap())
            }],
            competitors: Vec::new(),
        }
    }

    #[test]
    fn a_list_is_merged_and_its_faults_are_told_by_line() {
        let mut into = document();
        let text = "Location;MID;country;city\nmarket;123;;Oakland\nmarket;124;US;\nharbor;200;US;\nharbor;201;USA;\n;5;;\nharbor;;US;\n";
        let sheet = read(text, &mut into);
        assert_eq!((sheet.lines, sheet.locations, sheet.mids), (3, 1, 2), "{sheet:?}");
        let lines: Vec<u64> = sheet.faults.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [5, 6, 7]);
        assert!(sheet.faults[0].1.starts_with("`country`"), "{:?}", sheet.faults);
        assert_eq!(into.locations[0].city.as_deref(), Some("Oakland"));
        assert_eq!(into.locations.iter().map(|shop| shop.mids.len()).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn what_is_no_list_says_which_columns_there_are() {
        for (text, said) in [
            ("", "`location` is missing"),
            ("location,mid,colour\na,1,red\n", "no column `colour`"),
            ("location,name\na,b\n", "`mid` is missing"),
            ("location,mid\na,1,2\n", "has 3 fields"),
            ("location,mid,name\na,1,Caf\u{fffd}\n", "not UTF-8"),
        ] {
            let sheet = read(text, &mut document());
            assert!(sheet.faults.iter().any(|(_, fault)| fault.contains(said)), "{text}: {sheet:?}");
        }
    }
}
