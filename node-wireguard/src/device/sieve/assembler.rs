//! Classic BPF with names for the places that are jumped to.

use crate::io::Instruction;

/// A place in the program, further on than every jump to it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Place(usize);

enum Line {
    Plain(u16, u32),
    /// To the first place if it holds, else to the second, or on.
    If(u16, u32, Place, Option<Place>),
    Go(Place),
    Here(Place),
}

#[derive(Default)]
pub struct Assembler {
    lines: Vec<Line>,
    places: usize,
}

impl Assembler {
    pub fn place(&mut self) -> Place {
        self.places += 1;
        Place(self.places - 1)
    }

    pub fn here(&mut self, place: Place) {
        self.lines.push(Line::Here(place));
    }

    /// A is the accumulator, X the other register, and the program has sixteen words to put something down.
    pub fn load(&mut self, at: u32) {
        self.plain(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at);
    }

    pub fn load_length(&mut self) {
        self.plain(libc::BPF_LD | libc::BPF_W | libc::BPF_LEN, 0);
    }

    pub fn load_number(&mut self, number: u32) {
        self.plain(libc::BPF_LD | libc::BPF_W | libc::BPF_IMM, number);
    }

    pub fn put_down(&mut self, word: u32) {
        self.plain(libc::BPF_ST, word);
    }

    pub fn take_up(&mut self, word: u32) {
        self.plain(libc::BPF_LD | libc::BPF_W | libc::BPF_MEM, word);
    }

    pub fn move_to_x(&mut self) {
        self.plain(libc::BPF_MISC | libc::BPF_TAX, 0);
    }

    pub fn multiply(&mut self, by: u32) {
        self.plain(libc::BPF_ALU | libc::BPF_MUL | libc::BPF_K, by);
    }

    pub fn and(&mut self, mask: u32) {
        self.plain(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, mask);
    }

    pub fn xor_x(&mut self) {
        self.plain(libc::BPF_ALU | libc::BPF_XOR | libc::BPF_X, 0);
    }

    pub fn shift_right(&mut self, by: u32) {
        self.plain(libc::BPF_ALU | libc::BPF_RSH | libc::BPF_K, by);
    }

    pub fn shift_right_by_x(&mut self) {
        self.plain(libc::BPF_ALU | libc::BPF_RSH | libc::BPF_X, 0);
    }

    pub fn go(&mut self, to: Place) {
        self.lines.push(Line::Go(to));
    }

    pub fn if_equal(&mut self, number: u32, to: Place) {
        self.branch(libc::BPF_JEQ | libc::BPF_K, number, to, None);
    }

    pub fn if_equal_x(&mut self, to: Place, otherwise: Place) {
        self.branch(libc::BPF_JEQ | libc::BPF_X, 0, to, Some(otherwise));
    }

    pub fn if_at_least(&mut self, number: u32, to: Place) {
        self.branch(libc::BPF_JGE | libc::BPF_K, number, to, None);
    }

    pub fn if_any_bit(&mut self, mask: u32, to: Place, otherwise: Place) {
        self.branch(libc::BPF_JSET | libc::BPF_K, mask, to, Some(otherwise));
    }

    /// Bytes of the datagram that are kept.
    pub fn end(&mut self, keep: u32) {
        self.plain(libc::BPF_RET | libc::BPF_K, keep);
    }

    fn plain(&mut self, code: u32, k: u32) {
        self.lines.push(Line::Plain(code as u16, k));
    }

    fn branch(&mut self, code: u32, k: u32, to: Place, otherwise: Option<Place>) {
        self.lines.push(Line::If((libc::BPF_JMP | code) as u16, k, to, otherwise));
    }

    /// Panics when a place is missing, behind a jump to it, or too far ahead: 255 instructions from a branch.
    pub fn finish(self) -> Vec<Instruction> {
        let mut at = 0usize;
        let mut places = vec![None; self.places];
        for line in &self.lines {
            match line {
                Line::Here(place) => places[place.0] = Some(at),
                _ => at += 1,
            }
        }
        let code = self.lines.iter().filter(|line| !matches!(line, Line::Here(_)));
        let way = |from: usize, to: Place| {
            places[to.0].and_then(|to| to.checked_sub(from + 1)).expect("a place further on")
        };
        let near = |from, to| u8::try_from(way(from, to)).expect("a branch to a place near by");
        code.enumerate()
            .map(|(from, line)| match *line {
                Line::Plain(code, k) => Instruction { code, jt: 0, jf: 0, k },
                Line::If(code, k, to, otherwise) => {
                    let jf = otherwise.map_or(0, |to| near(from, to));
                    Instruction { code, jt: near(from, to), jf, k }
                }
                Line::Go(to) => {
                    let code = (libc::BPF_JMP | libc::BPF_JA) as u16;
                    Instruction { code, jt: 0, jf: 0, k: way(from, to) as u32 }
                }
                Line::Here(_) => unreachable!("filtered out above"),
            })
            .collect()
    }
}
