//! Carries operations out on a connection.

use std::time::Instant;

use nexus_core::format_byte_size;
use nexus_guest::{Hold, SqlOperation, SqlResult, SqlStatement};

use super::fault::{Fault, invalid};
use super::link::{LONGEST_KEPT, Link};
use super::statement::{Scale, Statement};
use super::words::{behind_blanks, first_word, refused};
use super::{MOST_BYTES, MOST_ROWS};

/// What each value of a result takes beside its bytes, and each result.
const VALUE: usize = 40;
const RESULT: usize = 160;
/// As much is asked for at once.
const PIECE: usize = 16 << 10;
/// So many bytes are read on the caller's thread.
pub(super) const QUICK: usize = 256 << 10;

/// Where an operation is carried out, and how much it may bring.
pub(super) struct Run<'a> {
    /// What holds the results; `None` on the caller's thread, where they are few.
    hold: Option<&'a mut dyn Hold>,
    /// How much is held, by earlier attempts, too; and what this one has asked for.
    held: Option<&'a mut usize>,
    asked: usize,
    may_write: bool,
    /// What is to be asked for, and what was brought so far.
    pending: usize,
    bytes: usize,
    rows: usize,
}

impl<'a> Run<'a> {
    /// On the caller's thread: quickly, and to read only.
    pub(super) fn here() -> Self {
        Self { hold: None, held: None, asked: 0, may_write: false, pending: 0, bytes: 0, rows: 0 }
    }

    /// On a thread that may wait.
    pub(super) fn there(hold: &'a mut dyn Hold, held: &'a mut usize, may_write: bool) -> Self {
        let (hold, held) = (Some(hold), Some(held));
        Self { hold, held, asked: 0, may_write, pending: 0, bytes: 0, rows: 0 }
    }

    /// Carries it out, in the transaction that there is.
    pub(super) fn carry_out(
        &mut self,
        link: &mut Link,
        operation: &SqlOperation,
    ) -> Result<Vec<SqlResult>, Fault> {
        link.forget_row_id();
        let results = match operation {
            SqlOperation::Batch(statements) => {
                let mut results = Vec::with_capacity(statements.len());
                for statement in statements {
                    results.push(self.single(link, statement)?);
                }
                results
            }
            SqlOperation::Script(text) => vec![self.script(link, text)?],
        };
        self.ask()?;
        Ok(results)
    }

    /// How long programs may be.
    fn most(&self) -> Scale {
        if self.hold.is_none() { Scale::Little } else { Scale::Wide }
    }

    /// What a statement is held to while it is gone through.
    fn scale(&self, statement: &Statement) -> Scale {
        if self.hold.is_none() { Scale::Little } else { statement.scale().max(Scale::Usual) }
    }

    fn single(&mut self, link: &mut Link, asked: &SqlStatement) -> Result<SqlResult, Fault> {
        let began = Instant::now();
        let text = &*asked.text;
        let most = self.most();
        let mut statement = match link.kept(text).filter(|statement| statement.scale() <= most) {
            Some(statement) => statement,
            None => {
                let (statement, rest) = self.prepare(link, text, text.len() <= LONGEST_KEPT)?;
                let Some(statement) = statement else {
                    return Err(invalid("there is no statement: the text is empty, or a comment"));
                };
                if !behind_blanks(rest).is_empty() {
                    return Err(invalid(
                        "the text has more than one statement; a batch has one of each, and exec takes several",
                    ));
                }
                statement
            }
        };
        let scale = self.scale(&statement);
        link.hold_to(scale);
        let result =
            self.bind(link, &mut statement, asked).and_then(|()| self.rows(link, &mut statement, true));
        link.hold_to(Scale::Usual);
        statement.was_used_at(scale);
        // What failed may do so for what it was when it was prepared.
        if result.is_ok() {
            link.keep(text, statement);
        }
        let mut result = result?;
        result.statements = 1;
        result.took = began.elapsed();
        Ok(result)
    }

    fn script(&mut self, link: &mut Link, text: &str) -> Result<SqlResult, Fault> {
        let began = Instant::now();
        let mut whole = SqlResult::default();
        let mut rest = text;
        loop {
            rest = behind_blanks(rest);
            if rest.is_empty() {
                break;
            }
            let (statement, behind) = self.prepare(link, rest, false)?;
            let Some(mut statement) = statement else { break };
            if whole.statements as usize >= SqlOperation::MOST_STATEMENTS {
                let most = SqlOperation::MOST_STATEMENTS;
                return Err(invalid(format!("a script has at most {most} statements")));
            }
            if statement.parameters() > 0 {
                return Err(invalid("statements of a script have no parameters; prepare those that do"));
            }
            link.hold_to(self.scale(&statement));
            let one = self.rows(link, &mut statement, false);
            link.hold_to(Scale::Usual);
            let one = one?;
            whole.changes += one.changes;
            whole.last_row_id = one.last_row_id;
            whole.rows_read += one.rows_read;
            whole.statements += 1;
            rest = behind;
        }
        whole.took = began.elapsed();
        Ok(whole)
    }

    /// Prepares the first statement of a text. With it what is behind it.
    fn prepare<'t>(
        &self,
        link: &Link,
        text: &'t str,
        is_kept: bool,
    ) -> Result<(Option<Statement>, &'t str), Fault> {
        if text.contains('\0') {
            return Err(invalid("the text of a statement has no NUL; a parameter may"));
        }
        if let Some(why) = refused(text) {
            return Err(invalid(format!("{}: {why}: SQLITE_AUTH", first_word(text).to_ascii_uppercase())));
        }
        let (statement, read) = link.prepare(text, is_kept, self.most())?;
        Ok((statement, text.get(read..).unwrap_or_default()))
    }

    fn bind(&self, link: &Link, statement: &mut Statement, asked: &SqlStatement) -> Result<(), Fault> {
        let (wanted, given) = (statement.parameters(), asked.parameters.len());
        if wanted != given {
            return Err(invalid(format!(
                "the statement has {wanted} parameters, and {given} are given for them"
            )));
        }
        for (index, value) in (1..).zip(&asked.parameters) {
            if statement.is_named(index) {
                return Err(invalid("parameters are `?`, or `?1`, `?2` and so on"));
            }
            statement.bind(&link.connection, index, value)?;
        }
        Ok(())
    }

    /// Goes through a statement's rows, which are kept or not.
    fn rows(&mut self, link: &Link, statement: &mut Statement, are_kept: bool) -> Result<SqlResult, Fault> {
        if !self.may_write && !statement.is_readonly() {
            return Err(Fault::Writes);
        }
        statement.scanned();
        let before = link.connection.total_changes();
        let mut result = SqlResult::default();
        let (mut rows, mut names) = (0, false);
        // While it is gone through a step may prepare it anew, so columns are asked for behind the first.
        loop {
            let is_row = statement.step(&link.connection)?;
            if are_kept && !names {
                names = true;
                for column in 0..statement.columns() {
                    let name = statement.name(column);
                    self.bring(VALUE + name.len())?;
                    result.columns.push(name);
                }
                self.bring(RESULT)?;
            }
            if !is_row {
                break;
            }
            rows += 1;
            if are_kept {
                self.rows += 1;
                if self.rows > MOST_ROWS {
                    return Err(invalid(format!("a call has at most {MOST_ROWS} rows; use LIMIT")));
                }
                for column in 0..result.columns.len() {
                    let column = statement.column(column);
                    self.bring(VALUE + column.size())?;
                    result.values.push(column.value());
                }
            }
        }
        if link.connection.total_changes() != before {
            result.changes = link.connection.changes();
        }
        result.last_row_id = link.connection.last_insert_rowid();
        result.rows_read = rows + statement.scanned();
        Ok(result)
    }

    /// So many bytes more are brought.
    fn bring(&mut self, bytes: usize) -> Result<(), Fault> {
        self.bytes += bytes;
        if self.hold.is_none() {
            return if self.bytes <= QUICK { Ok(()) } else { Err(Fault::Long) };
        }
        if self.bytes > MOST_BYTES {
            let most = format_byte_size(MOST_BYTES as u64);
            return Err(invalid(format!(
                "a call's results have at most {most}; use LIMIT, or fewer columns"
            )));
        }
        self.pending += bytes;
        if self.pending >= PIECE { self.ask() } else { Ok(()) }
    }

    /// Asks for the memory of what was brought.
    fn ask(&mut self) -> Result<(), Fault> {
        let pending = std::mem::take(&mut self.pending);
        self.asked += pending;
        let has_room = match (&mut self.hold, &mut self.held) {
            (Some(hold), Some(held)) if self.asked > **held => {
                let has_room = hold.grow(self.asked - **held);
                if has_room {
                    **held = self.asked;
                }
                has_room
            }
            _ => true,
        };
        match has_room {
            true => Ok(()),
            false => Err(invalid("what is read takes more memory than the app's limit leaves; use LIMIT")),
        }
    }
}
