//! The network as it was said: nodes, links with kind, time and weight, and what is known of
//! each member. Compact columns; a node is a number.
//!
//! Nodes are numbered by what they are and how they are linked, never by their names or the
//! order of the rows: the same network, told in another order or under other names, is the
//! same numbers, so every result after it is the same too.

use hashbrown::HashMap;
use xxhash_rust::xxh3::xxh3_64;

/// A node's number.
pub type Node = u32;
/// No time is known.
pub const NO_TIME: u32 = u32::MAX;
/// Rounds of looking at the neighbours when nodes are numbered: as far as features look, and one more.
const CANONICAL_ROUNDS: usize = 3;

/// The word of a link, as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(u8);

impl Kind {
    /// Who referred whom.
    pub const REFERRAL: Self = Self(0);
    /// Somebody's word for somebody.
    pub const VOUCH: Self = Self(1);
    /// The kinds whose far end is an identifier.
    const IDENTIFIERS: std::ops::Range<u8> = 2..9;
    /// A device.
    pub const DEVICE: Self = Self(2);
    /// An account that money is paid to.
    pub const PAYOUT: Self = Self(3);
    /// A card.
    pub const CARD: Self = Self(4);

    /// Whether the far end is an identifier and no member.
    #[must_use]
    pub fn is_identifier(self) -> bool {
        Self::IDENTIFIERS.contains(&self.0)
    }

    /// Cards, payout accounts and devices belong to people. Many members on one is a finding and
    /// never makes it infrastructure.
    #[must_use]
    pub fn is_instrument(self) -> bool {
        matches!(self, Self::DEVICE | Self::PAYOUT | Self::CARD)
    }
}

/// The words that every network knows, in the order of their numbers.
const WORDS: [&str; 9] = ["referral", "vouch", "device", "payout", "card", "ip", "address", "phone", "email"];

/// One link.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Link {
    /// Who.
    pub from: Node,
    /// Whom, or the identifier.
    pub to: Node,
    /// Its word.
    pub kind: Kind,
    /// Unix seconds, [`NO_TIME`] when nobody said.
    pub at: u32,
    /// 1 unless something else was said; negative is distrust.
    pub weight: f32,
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum What {
    /// An end of a link between people: a member, or a stranger when the members are listed.
    Person,
    Identifier(Kind),
}

/// What a network cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NetworkFault {
    /// Kinds are one byte.
    #[error("a network has at most 255 kinds of links")]
    TooManyKinds,
    /// Nodes are four bytes.
    #[error("a network has at most 4,294,967,294 nodes")]
    TooManyNodes,
    /// A member is listed once.
    #[error("the member is listed twice")]
    ListedTwice,
}

/// Takes links and members in any order.
#[derive(Debug, Default)]
pub struct Builder {
    kinds: Vec<Box<str>>,
    numbers: HashMap<(What, Box<str>), Node>,
    what: Vec<What>,
    links: Vec<Link>,
    columns: Vec<Box<str>>,
    /// Listed members: their rows in `values`.
    rows: HashMap<Node, u32>,
    joined: Vec<u32>,
    values: Vec<f64>,
    infrastructure: Vec<Node>,
    members_listed: bool,
}

impl Builder {
    /// An empty network.
    #[must_use]
    pub fn new() -> Self {
        Self { kinds: WORDS.iter().map(|&word| word.into()).collect(), ..Self::default() }
    }

    fn kind(&mut self, word: &str) -> Result<Kind, NetworkFault> {
        if let Some(place) = self.kinds.iter().position(|known| **known == *word) {
            return Ok(Kind(u8::try_from(place).expect("bounded below")));
        }
        let kind = u8::try_from(self.kinds.len()).ok().filter(|&kind| kind < u8::MAX);
        self.kinds.push(word.into());
        kind.map(Kind).ok_or(NetworkFault::TooManyKinds)
    }

    fn node(&mut self, what: What, name: &str) -> Result<Node, NetworkFault> {
        let next = Node::try_from(self.what.len()).ok().filter(|&next| next < Node::MAX);
        if let Some(&found) = self.numbers.get(&Asked(what, name)) {
            return Ok(found);
        }
        let next = next.ok_or(NetworkFault::TooManyNodes)?;
        self.numbers.insert((what, name.into()), next);
        self.what.push(what);
        Ok(next)
    }

    /// One link.
    ///
    /// # Errors
    /// When there are more nodes or kinds than the numbers hold.
    pub fn link(&mut self, from: &str, to: &str, kind: &str, at: Option<u32>, weight: f32) -> Result<(), NetworkFault> {
        let kind = self.kind(kind)?;
        let from = self.node(What::Person, from)?;
        let what = if kind.is_identifier() { What::Identifier(kind) } else { What::Person };
        let to = self.node(what, to)?;
        self.links.push(Link { from, to, kind, at: at.unwrap_or(NO_TIME), weight });
        Ok(())
    }

    /// The names of the figures that [`Self::member`] gives, before the first member.
    pub fn columns<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) {
        self.columns = names.into_iter().map(Into::into).collect();
        self.members_listed = true;
    }

    /// One member, with a figure per column; a missing one is not a number.
    ///
    /// # Errors
    /// When it is listed already, or there are too many nodes.
    ///
    /// # Panics
    /// When the figures are not as many as the columns.
    pub fn member(&mut self, name: &str, joined: Option<u32>, values: &[f64]) -> Result<(), NetworkFault> {
        assert_eq!(values.len(), self.columns.len(), "a figure per column");
        let node = self.node(What::Person, name)?;
        let row = u32::try_from(self.joined.len()).map_err(|_| NetworkFault::TooManyNodes)?;
        if self.rows.contains_key(&node) {
            return Err(NetworkFault::ListedTwice);
        }
        self.rows.insert(node, row);
        self.joined.push(joined.unwrap_or(NO_TIME));
        self.values.extend_from_slice(values);
        Ok(())
    }

    /// A node that is known to be a shared service. One that no link names is of no consequence.
    pub fn infrastructure(&mut self, name: &str) {
        let known = (0..Kind::IDENTIFIERS.end).map(Kind).filter(|kind| kind.is_identifier()).map(What::Identifier);
        for what in std::iter::once(What::Person).chain(known) {
            self.infrastructure.extend(self.numbers.get(&Asked(what, name)));
        }
    }

    /// The network.
    #[must_use]
    pub fn build(self) -> Network {
        let is_member = self.who_is_member();
        let order = self.canonical(&is_member);
        let mut place = vec![0; order.len()];
        for (new, &old) in (0..).zip(&order) {
            place[old as usize] = new;
        }
        let mut names: Vec<Box<str>> = vec![Box::default(); order.len()];
        for ((_, name), old) in self.numbers {
            names[place[old as usize] as usize] = name;
        }
        let moved = |link: &Link| Link { from: place[link.from as usize], to: place[link.to as usize], ..*link };
        let mut links: Vec<Link> = self.links.iter().map(moved).collect();
        links.sort_unstable_by(|a, b| {
            (a.from, a.to, a.kind, a.at).cmp(&(b.from, b.to, b.kind, b.at)).then(a.weight.total_cmp(&b.weight))
        });
        let mut members = Members { columns: self.columns, ..Members::default() };
        let mut row_of = vec![u32::MAX; order.len()];
        let width = members.columns.len();
        for (new, &old) in (0..).zip(&order) {
            if !is_member[old as usize] {
                continue;
            }
            row_of[new as usize] = u32::try_from(members.nodes.len()).expect("fewer members than nodes");
            members.nodes.push(new);
            match self.rows.get(&old) {
                Some(&row) => {
                    let row = row as usize;
                    members.joined.push(self.joined[row]);
                    members.values.extend_from_slice(&self.values[row * width..(row + 1) * width]);
                }
                None => {
                    members.joined.push(NO_TIME);
                    members.values.extend(std::iter::repeat_n(f64::NAN, width));
                }
            }
        }
        let mut infrastructure: Vec<Node> = self.infrastructure.iter().map(|&old| place[old as usize]).collect();
        infrastructure.sort_unstable();
        infrastructure.dedup();
        let what = order.iter().map(|&old| self.what[old as usize]).collect();
        Network { names, what, kinds: self.kinds, links, members, row_of, infrastructure }
    }

    /// Listed members; both ends of a referral and a vouch; who is linked to an identifier. When
    /// no list was given, everybody who is no identifier and no known service.
    fn who_is_member(&self) -> Vec<bool> {
        let mut is_member = vec![false; self.what.len()];
        for &node in self.rows.keys() {
            is_member[node as usize] = true;
        }
        for link in &self.links {
            let between_members = matches!(link.kind, Kind::REFERRAL | Kind::VOUCH);
            is_member[link.from as usize] |= between_members || link.kind.is_identifier() || !self.members_listed;
            if !link.kind.is_identifier() {
                is_member[link.to as usize] |= between_members || !self.members_listed;
            }
        }
        for &node in &self.infrastructure {
            is_member[node as usize] &= self.rows.contains_key(&node);
        }
        is_member
    }

    /// The nodes by a hash of what is known of each and of what surrounds it. Names decide only
    /// between nodes that nothing else tells apart.
    fn canonical(&self, is_member: &[bool]) -> Vec<Node> {
        let width = self.columns.len();
        let mut hashes: Vec<u64> = vec![0; self.what.len()];
        for (node, hash) in hashes.iter_mut().enumerate() {
            let word = match self.what[node] {
                What::Person => "",
                What::Identifier(kind) => &self.kinds[usize::from(kind.0)],
            };
            *hash = mix(&[xxh3_64(word.as_bytes()), u64::from(is_member[node])]);
            let row = Node::try_from(node).ok().and_then(|node| self.rows.get(&node));
            if let Some(&row) = row {
                let row = row as usize;
                *hash = mix(&[*hash, u64::from(self.joined[row])]);
                for value in &self.values[row * width..(row + 1) * width] {
                    *hash = mix(&[*hash, value.to_bits()]);
                }
            }
        }
        let words: Vec<u64> = self.kinds.iter().map(|word| xxh3_64(word.as_bytes())).collect();
        for _ in 0..CANONICAL_ROUNDS {
            let mut around = vec![0_u64; hashes.len()];
            for link in &self.links {
                let (from, to) = (link.from as usize, link.to as usize);
                let said =
                    mix(&[words[usize::from(link.kind.0)], u64::from(link.at), u64::from(link.weight.to_bits())]);
                // A sum: the order of the links does not matter.
                around[from] = around[from].wrapping_add(mix(&[said, hashes[to], 1]));
                around[to] = around[to].wrapping_add(mix(&[said, hashes[from], 2]));
            }
            for (hash, around) in hashes.iter_mut().zip(around) {
                *hash = mix(&[*hash, around]);
            }
        }
        let mut names: Vec<&str> = vec![""; self.what.len()];
        for ((_, name), &node) in &self.numbers {
            names[node as usize] = name;
        }
        let mut order: Vec<Node> = (0..).take(self.what.len()).collect();
        order.sort_unstable_by_key(|&node| (hashes[node as usize], names[node as usize], self.what[node as usize]));
        order
    }
}

fn mix(parts: &[u64]) -> u64 {
    parts.iter().fold(0x9e37_79b9_7f4a_7c15, |hash, part| {
        let mut value = (hash ^ part).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value ^= value >> 29;
        value = value.wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 32)
    })
}

/// A key as it is looked up, without making its name an owned one.
#[derive(Hash)]
struct Asked<'a>(What, &'a str);

impl hashbrown::Equivalent<(What, Box<str>)> for Asked<'_> {
    fn equivalent(&self, key: &(What, Box<str>)) -> bool {
        self.0 == key.0 && *self.1 == *key.1
    }
}

/// What is known of the members, a row each.
#[derive(Debug, Default)]
pub struct Members {
    /// Their nodes, rising.
    pub nodes: Vec<Node>,
    /// When each joined, [`NO_TIME`] when nobody said.
    pub joined: Vec<u32>,
    columns: Vec<Box<str>>,
    values: Vec<f64>,
}

impl Members {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// A column of figures, by row; nothing when the network has no such column.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<Vec<f64>> {
        let place = self.columns.iter().position(|column| **column == *name)?;
        Some(self.values.iter().skip(place).step_by(self.columns.len()).copied().collect())
    }
}

/// A network that does not change any more.
#[derive(Debug)]
pub struct Network {
    names: Vec<Box<str>>,
    what: Vec<What>,
    kinds: Vec<Box<str>>,
    /// By giver, taker, kind and time.
    pub links: Vec<Link>,
    /// What is known of the members.
    pub members: Members,
    row_of: Vec<u32>,
    /// Nodes that the caller says are shared services.
    pub infrastructure: Vec<Node>,
}

impl Network {
    /// How many nodes.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.what.len()
    }

    /// A node's name.
    #[must_use]
    pub fn name(&self, node: Node) -> &str {
        &self.names[node as usize]
    }

    /// The word of a kind.
    #[must_use]
    pub fn word(&self, kind: Kind) -> &str {
        &self.kinds[usize::from(kind.0)]
    }

    /// A member's row, of a node.
    #[must_use]
    pub fn row(&self, node: Node) -> Option<usize> {
        Some(self.row_of[node as usize]).filter(|&row| row != u32::MAX).map(|row| row as usize)
    }

    /// Whether it is a member.
    #[must_use]
    pub fn is_member(&self, node: Node) -> bool {
        self.row_of[node as usize] != u32::MAX
    }

    /// The kind of identifier that a node is; nothing for people.
    #[must_use]
    pub fn identifier(&self, node: Node) -> Option<Kind> {
        match self.what[node as usize] {
            What::Person => None,
            What::Identifier(kind) => Some(kind),
        }
    }

    /// Members by name, for labels and seeds.
    #[must_use]
    pub fn rows_by_name(&self) -> HashMap<&str, usize> {
        self.members.nodes.iter().enumerate().map(|(row, &node)| (self.name(node), row)).collect()
    }
}
