//! `docs/layout.md` and `protocol/layout.rs` say the same: every row of a table with offsets, bits or structures stands
//! for constants, and the other way round.

use shm_sync::layout::{
    LIVE, MAGIC, Structure, barrier, broadcast, channel, condition, event_count, live_file, mutex, once,
    owner_word, rw_lock, semaphore,
};

const PAGE: &str = include_str!("../../docs/layout.md");

/// The tables of a section whose first column is called so; the rows of each by their cells.
fn tables(section: &str, column: &str) -> Vec<Vec<Vec<String>>> {
    let start = PAGE.split("\n## ").find(|part| part.lines().next() == Some(section));
    let section = start.unwrap_or_else(|| panic!("the page has a section {section:?}"));
    let lines: Vec<&str> = section.lines().collect();
    let tables = lines.split(|line| !line.starts_with('|')).filter(|table| table.len() > 2);
    let cells = |line: &&str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    let tables = tables.map(|table| table.iter().map(cells).collect::<Vec<Vec<String>>>());
    tables.filter(|table| table[0][0] == column).map(|table| table[2..].to_vec()).collect()
}

/// Compares a table's first two columns: the second begins with what is expected.
fn compare(section: &str, table: &[Vec<String>], expected: &[(String, &str)]) {
    let found: Vec<&String> = table.iter().map(|row| &row[0]).collect();
    assert_eq!(found, expected.iter().map(|row| &row.0).collect::<Vec<_>>(), "in {section:?}");
    for (row, (place, means)) in table.iter().zip(expected) {
        assert!(row[1].starts_with(means), "in {section:?}, at {place}: {:?}, not {means:?}", row[1]);
    }
}

fn offsets(section: &str, expected: &[(u32, &str)]) {
    let [table] = &tables(section, "offset")[..] else { panic!("one table of offsets in {section:?}") };
    let expected: Vec<_> = expected.iter().map(|&(offset, means)| (offset.to_string(), means)).collect();
    compare(section, table, &expected);
}

/// The same, where slots follow.
fn offsets_and_slots(section: &str, words: &[(u32, &str)], slots: u32, means: &str) {
    let [table] = &tables(section, "offset")[..] else { panic!("one table of offsets in {section:?}") };
    let mut expected: Vec<_> = words.iter().map(|&(offset, means)| (offset.to_string(), means)).collect();
    expected.push((format!("{slots} + 4 × i"), means));
    compare(section, table, &expected);
}

fn bits(mask: u32) -> String {
    let (first, last) = (mask.trailing_zeros(), 31 - mask.leading_zeros());
    assert_eq!(mask.count_ones(), last - first + 1, "they lie together");
    if first == last { first.to_string() } else { format!("{first} to {last}") }
}

fn compare_bits(section: &str, table: &[Vec<String>], expected: &[(u32, &str)]) {
    assert_eq!(expected.iter().fold(0, |all, row| all | row.0), u32::MAX, "all bits of a word");
    let expected: Vec<_> = expected.iter().map(|&(mask, means)| (bits(mask), means)).collect();
    compare(section, table, &expected);
}

#[test]
fn each_structure_has_its_letter_its_magic_and_its_size() {
    let [table] = &tables("Common to all", "structure")[..] else { panic!("one table of structures") };
    let expected = [
        (mutex::STRUCTURE, mutex::SIZE.to_string()),
        (condition::STRUCTURE, condition::SIZE.to_string()),
        (once::STRUCTURE, once::SIZE.to_string()),
        (semaphore::STRUCTURE, format!("{} + 4 × permits", semaphore::SLOTS)),
        (rw_lock::STRUCTURE, format!("{} + 4 × readers", rw_lock::SLOTS)),
        (barrier::STRUCTURE, format!("{} + 4 × parties", barrier::SLOTS)),
        (channel::STRUCTURE, format!("{} + capacity", channel::DATA)),
        (broadcast::STRUCTURE, format!("{} + slots × stride", broadcast::DATA)),
    ];
    let row = |(structure, size): (Structure, String)| {
        let letter = format!("`{}`", char::from(structure.letter));
        vec![structure.name.to_owned(), letter, format!("{:#010x}", structure.magic()), size]
    };
    assert_eq!(table[..], expected.map(row));
    for ring in [channel::STRUCTURE, broadcast::STRUCTURE] {
        assert_eq!(ring.align, 64);
    }
    assert!(PAGE.contains("begins at a multiple of 4 bytes; a channel or a broadcast at a multiple of 64."));
}

#[test]
fn each_word_is_at_the_offset_that_the_page_says() {
    let [common] = &tables("Common to all", "offset")[..] else { panic!("one table of offsets") };
    let options = format!("{}, {}", channel::CAPACITY, channel::PRODUCERS);
    let expected =
        [(MAGIC.to_string(), "magic"), (LIVE.to_string(), "id of the live file"), (options, "options")];
    compare("Common to all", common, &expected);

    offsets("Mutex", &[(mutex::WORD, "owner word")]);
    offsets("Condition", &[(condition::SEQUENCE, "sequence"), (condition::WAITERS, "how many wait")]);
    offsets("Once", &[(once::STATE, "state")]);
    assert!(tables("Once", "offset")[0][0][1].ends_with(&format!("{:#x} done", once::DONE)));
    let words = [(semaphore::PERMITS, "number of permits"), (semaphore::QUEUE, "queue")];
    offsets_and_slots("Semaphore", &words, semaphore::SLOTS, "owner word of permit i");
    let words =
        [(rw_lock::READERS, "how many may read"), (rw_lock::WRITER, "writer"), (rw_lock::QUEUE, "queue")];
    offsets_and_slots("Read-write lock", &words, rw_lock::SLOTS, "owner word of reader i");
    let words = [(barrier::PARTIES, "number of parties"), (barrier::STATE, "state")];
    offsets_and_slots("Barrier", &words, barrier::SLOTS, "owner word of party i");
    offsets(
        "Channel",
        &[
            (channel::CAPACITY, "capacity"),
            (channel::PRODUCERS, "1: one producer · 2: many"),
            (channel::HEAD, "head"),
            (channel::TAIL_SEEN, "tail as last seen"),
            (channel::LOCK, "lock"),
            (channel::PRODUCER, "the producer"),
            (channel::TAIL, "tail"),
            (channel::CONSUMER, "the consumer"),
            (channel::CONSUMER_EVENT, "event count on which the consumer sleeps"),
            (channel::PRODUCERS_EVENT, "event count on which producers sleep"),
            (channel::DATA, "the ring"),
        ],
    );
    assert_eq!((channel::ONE, channel::MANY), (1, 2));
    let [record] = &tables("Channel", "offset in the record")[..] else { panic!("one table of a record") };
    let words = [(0, "header"), (channel::OWNER, "many producers: id"), (channel::RECORD, "the message")];
    compare("Channel", record, &words.map(|(offset, means)| (offset.to_string(), means)));

    let [broadcast] = &tables("Broadcast", "offset")[..] else { panic!("one table of offsets") };
    let words = [
        (broadcast::SLOTS.to_string(), "number of slots"),
        (broadcast::MAX_MESSAGE.to_string(), "longest message"),
        (broadcast::HEAD_HIGH.to_string(), "head, upper half"),
        (broadcast::HEAD_LOW.to_string(), "head, lower half"),
        (broadcast::HEAD_HIGH_AGAIN.to_string(), "head, upper half again"),
        (broadcast::PRODUCER.to_string(), "the producer"),
        (broadcast::READERS_EVENT.to_string(), "event count"),
        (format!("{} + i × stride", broadcast::DATA), "slot i"),
    ];
    compare("Broadcast", broadcast, &words);
    let [slot] = &tables("Broadcast", "offset in the slot")[..] else { panic!("one table of a slot") };
    let words = [(0, "stamp"), (broadcast::LENGTH, "length"), (broadcast::MESSAGE, "the message")];
    compare("Broadcast", slot, &words.map(|(offset, means)| (offset.to_string(), means)));

    let [file] = &tables("The live file", "offset")[..] else { panic!("one table of the live file") };
    let [s, y, letter, version] = live_file::MAGIC;
    let magic = [s, y, letter].map(|byte| format!("`{}`", char::from(byte))).join(", ");
    assert_eq!(file[0][..], ["0".to_owned(), format!("the bytes {magic}, {version}")]);
    let [s, e, l, f] = live_file::IS_DIGEST.to_le_bytes().map(|byte| format!("`{}`", char::from(byte)));
    let mark = format!("the bytes {s}, {e}, {l}, {f}");
    let words =
        [(live_file::ID, "the file's id"), (live_file::NEXT, "the next owner id"), (live_file::MARK, &mark)];
    compare("The live file", &file[1..], &words.map(|(offset, means)| (offset.to_string(), means)));
    assert_eq!(live_file::GUARD, 1 << 40);
    assert!(PAGE.contains("on byte 2^40 of the file"));
}

#[test]
fn each_bit_means_what_the_page_says() {
    let [owner, event] = &tables("Common to all", "bits")[..] else { panic!("two tables of bits") };
    let expected =
        [(owner_word::ID, "owner id"), (owner_word::DIED, "`DIED`"), (owner_word::WAITERS, "`WAITERS`")];
    compare_bits("Common to all", owner, &expected);
    let rest = !(event_count::WAKE_UP - 1);
    compare_bits("Common to all", event, &[(event_count::SLEEPERS, "`SLEEPERS`"), (rest, "how often")]);
    let [state] = &tables("Barrier", "bits of the state")[..] else { panic!("one table of bits") };
    let phase = !(barrier::PHASE - 1);
    let expected = [(barrier::ARRIVED, "how many"), (barrier::BROKEN, "`BROKEN`"), (phase, "the phase")];
    compare_bits("Barrier", state, &expected);
    let [header] = &tables("Channel", "bits of the header")[..] else { panic!("one table of bits") };
    let expected =
        [(channel::LENGTH, "the message's length"), (channel::SKIP, "`SKIP`"), (channel::BUSY, "`BUSY`")];
    compare_bits("Channel", header, &expected);
}
