//! Samples, and the table they become.

use std::fmt::Write as _;

/// Who was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// A bare interpreter without any server.
    Floor,
    /// The gateway of this repository.
    Hearth,
    /// The server at `PEER_URL`.
    Peer,
}

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds; less is better.
    Ms,
    /// Seconds; less is better.
    Seconds,
    /// Requests in a second; more is better.
    PerSecond,
    /// Resident memory.
    MiB,
    /// Millions of bytes.
    Mb,
    /// Millions of bytes in a second; more is better.
    MbPerSecond,
    /// Things.
    Count,
    /// One number to another.
    Ratio,
}

/// Numbers of one kind, at least one.
#[derive(Debug, Clone)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Sorts the numbers; `None` when there are none.
    pub fn new(mut numbers: Vec<f64>) -> Option<Self> {
        numbers.sort_by(f64::total_cmp);
        (!numbers.is_empty()).then_some(Self(numbers))
    }

    /// The number that this share of all does not exceed (nearest rank).
    pub fn quantile(&self, share: f64) -> f64 {
        let rank = (share * self.0.len() as f64).ceil() as usize;
        self.0.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }

    fn text(&self, unit: Unit) -> String {
        let median = shown(self.quantile(0.5), unit);
        match self.0.len() {
            1 => median,
            n => {
                // With fewer than a hundred samples the 99th percentile is the largest.
                let last = if n < 100 { "max" } else { "p99" };
                format!(
                    "{} / **{median}** / {} ({last})",
                    shown(self.quantile(0.0), unit),
                    shown(self.quantile(0.99), unit)
                )
            }
        }
    }
}

fn shown(number: f64, unit: Unit) -> String {
    match unit {
        Unit::Ms if number < 1.0 => format!("{number:.3}"),
        Unit::Ms if number < 100.0 => format!("{number:.1}"),
        Unit::Seconds | Unit::Ratio => format!("{number:.2}"),
        _ => format!("{number:.0}"),
    }
}

struct Row {
    what: String,
    unit: Unit,
    cells: Vec<(Column, Samples)>,
}

impl Row {
    fn median(&self, column: Column) -> Option<f64> {
        self.cells.iter().find(|(c, _)| *c == column).map(|(_, s)| s.quantile(0.5))
    }

    fn cell(&self, column: Column) -> String {
        self.cells.iter().find(|(c, _)| *c == column).map_or(String::new(), |(_, s)| s.text(self.unit))
    }

    /// Hearth above the floor, and Hearth to the peer.
    fn compared(&self) -> (String, String) {
        let hearth = self.median(Column::Hearth);
        let above = hearth
            .zip(self.median(Column::Floor))
            .map(|(h, f)| format!("{}{}", if h < f { "" } else { "+" }, shown(h - f, self.unit)));
        let ratio =
            hearth.zip(self.median(Column::Peer)).filter(|(_, p)| *p > 0.0).map(|(h, p)| format!("{:.2}", h / p));
        (above.unwrap_or_default(), ratio.unwrap_or_default())
    }
}

/// All that was measured, in the order in which it was first measured.
#[derive(Default)]
pub struct Report(Vec<Row>);

impl Report {
    /// Enters what one of them took for one thing, and says so at once, since a whole run takes minutes.
    pub fn put(&mut self, what: &str, unit: Unit, column: Column, numbers: Vec<f64>) {
        let Some(samples) = Samples::new(numbers) else { return };
        eprintln!("{column:?}: {what} [{unit:?}]: {}", samples.text(unit));
        match self.0.iter_mut().find(|r| r.what == what) {
            Some(row) => row.cells.push((column, samples)),
            None => self.0.push(Row { what: what.to_owned(), unit, cells: vec![(column, samples)] }),
        }
    }

    fn markdown(&self) -> String {
        let mut text = String::from(
            "| what | | floor | Hearth | above the floor | peer | Hearth ÷ peer |\n|---|---|---|---|---|---|---|\n",
        );
        for row in &self.0 {
            let unit = match row.unit {
                Unit::Ms => "ms",
                Unit::Seconds => "s",
                Unit::PerSecond => "/s",
                Unit::MiB => "MiB",
                Unit::Mb => "MB",
                Unit::MbPerSecond => "MB/s",
                Unit::Count | Unit::Ratio => "",
            };
            let (above, ratio) = row.compared();
            let [floor, hearth, peer] = [Column::Floor, Column::Hearth, Column::Peer].map(|c| row.cell(c));
            let _ = writeln!(text, "| {} | {unit} | {floor} | {hearth} | {above} | {peer} | {ratio} |", row.what);
        }
        text.push_str("\nmin / **median** / p99, of single measurements the number alone; differences and ratios are of medians.\n");
        text
    }

    /// Prints the table and writes it to `target/bench.md`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self) -> anyhow::Result<()> {
        let text = self.markdown();
        println!("{text}");
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("bench.md"), text)?;
        Ok(())
    }
}
