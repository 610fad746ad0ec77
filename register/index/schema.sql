DROP TABLE IF EXISTS meta;
DROP TABLE IF EXISTS stream;
DROP TABLE IF EXISTS submission;
DROP TABLE IF EXISTS letter;
DROP TABLE IF EXISTS tally;
DROP TABLE IF EXISTS copy;
DROP TABLE IF EXISTS queue;
DROP TABLE IF EXISTS access;
DROP TABLE IF EXISTS thread;
DROP TABLE IF EXISTS reference;
DROP TABLE IF EXISTS link;
DROP TABLE IF EXISTS contact;
DROP TABLE IF EXISTS words;
DROP TABLE IF EXISTS title;
DROP TABLE IF EXISTS unworded;

CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- Up to where each stream is applied, and which event that was. Written in the
-- transaction that writes the rows.
CREATE TABLE stream (name TEXT PRIMARY KEY, seq INTEGER NOT NULL, event TEXT NOT NULL) WITHOUT ROWID;

-- Times are milliseconds since 1970 in UTC, 0 = not yet.
CREATE TABLE submission (
  id     BLOB PRIMARY KEY, -- 32 octets
  intake INTEGER NOT NULL DEFAULT 0, -- 1: INTAKE announced it
  sorted INTEGER NOT NULL DEFAULT 0, -- 1: LETTER sorted it
  seen   INTEGER NOT NULL DEFAULT 0 -- repeats of the delivery
) WITHOUT ROWID;
CREATE INDEX submission_waiting ON submission(id) WHERE intake = 1 AND sorted = 0;
CREATE INDEX submission_strange ON submission(sorted) WHERE intake = 0;
CREATE INDEX submission_seen ON submission(seen) WHERE seen > 0;

-- One row per letter: the columns that questions are asked by, and the folded
-- letter as JSON.
CREATE TABLE letter (
  id         INTEGER PRIMARY KEY,
  submission BLOB    NOT NULL,
  part       INTEGER NOT NULL,
  series     TEXT    NOT NULL,
  year       INTEGER NOT NULL, -- 0: no number
  n          INTEGER NOT NULL,
  status     TEXT    NOT NULL,
  kind       TEXT    NOT NULL,
  department TEXT    NOT NULL,
  closed     INTEGER NOT NULL,
  cancelled  INTEGER NOT NULL,
  open       INTEGER NOT NULL, -- 1: work for the department's queue
  urgent     INTEGER NOT NULL,
  arrived    INTEGER NOT NULL,
  received   INTEGER NOT NULL,
  sorted     INTEGER NOT NULL,
  registered INTEGER NOT NULL,
  read       INTEGER NOT NULL,
  routed     INTEGER NOT NULL,
  revision   INTEGER NOT NULL,
  content    TEXT    NOT NULL, -- digest by which receipts of the same mail are known, '' = none
  ack        TEXT    NOT NULL, -- state of the acknowledgement, '' = none
  due        INTEGER NOT NULL, -- when the acknowledgement or the held letter is due, 0 = never
  state      BLOB    NOT NULL,
  UNIQUE (submission, part)
);
CREATE INDEX letter_number ON letter(year, series, n) WHERE n > 0;
CREATE INDEX letter_queue ON letter(department, open, urgent, received, id);
CREATE INDEX letter_parked ON letter(received, id) WHERE status = 'parked';
CREATE INDEX letter_content ON letter(content) WHERE content <> '';
CREATE INDEX letter_ack ON letter(ack, due, id) WHERE ack <> '';
CREATE INDEX letter_held ON letter(due, id) WHERE status = 'parked' AND due > 0;
CREATE INDEX letter_unnumbered ON letter(submission) WHERE n = 0;

-- How many letters there are of each sort, kept in the transaction that writes
-- the letters, so that counting does not read them all.
CREATE TABLE tally (
  status     TEXT    NOT NULL,
  department TEXT    NOT NULL,
  numbered   INTEGER NOT NULL,
  closed     INTEGER NOT NULL,
  cancelled  INTEGER NOT NULL,
  letters    INTEGER NOT NULL,
  PRIMARY KEY (status, department, numbered, closed, cancelled)
) WITHOUT ROWID;

-- Departments that hold a copy for information, of the decision in force.
CREATE TABLE copy (letter INTEGER NOT NULL, department TEXT NOT NULL, PRIMARY KEY (letter, department)) WITHOUT ROWID;
CREATE INDEX copy_department ON copy(department, letter);

-- What was put into department queues and taken back.
CREATE TABLE queue (
  submission BLOB    NOT NULL,
  part       INTEGER NOT NULL,
  revision   INTEGER NOT NULL,
  department TEXT    NOT NULL,
  copy       INTEGER NOT NULL,
  queued     INTEGER NOT NULL,
  withdrawn  INTEGER NOT NULL,
  PRIMARY KEY (submission, part, revision, department)
) WITHOUT ROWID;

-- Who looked at what, or was refused.
CREATE TABLE access (
  seq        INTEGER PRIMARY KEY, -- on AUDIT
  submission BLOB    NOT NULL,
  part       INTEGER NOT NULL,
  principal  TEXT    NOT NULL,
  action     TEXT    NOT NULL,
  allowed    INTEGER NOT NULL,
  at         INTEGER NOT NULL
);
CREATE INDEX access_letter ON access(submission, part);

-- Mails by keyed digests: who sent them, their Message-ID, what they refer to.
CREATE TABLE thread (
  submission BLOB    NOT NULL,
  part       INTEGER NOT NULL,
  sender     TEXT    NOT NULL,
  message    TEXT    NOT NULL,
  PRIMARY KEY (submission, part)
) WITHOUT ROWID;
CREATE INDEX thread_message ON thread(message, sender) WHERE message <> '';
CREATE TABLE reference (
  submission BLOB    NOT NULL,
  part       INTEGER NOT NULL,
  message    TEXT    NOT NULL, -- digest of a Message-ID, or the id of a letter whose acknowledgement is meant
  sender     TEXT    NOT NULL,
  PRIMARY KEY (submission, part, message)
) WITHOUT ROWID;
CREATE INDEX reference_message ON reference(message, sender);

-- Letters of one matter, each pair in both directions: a reference by the same
-- sender joined them, whichever of the two came first.
CREATE TABLE link (
  submission BLOB    NOT NULL,
  part       INTEGER NOT NULL,
  other      BLOB    NOT NULL,
  opart      INTEGER NOT NULL,
  PRIMARY KEY (submission, part, other, opart)
) WITHOUT ROWID;

-- Contacts that mail does not reach, by keyed digest.
CREATE TABLE contact (
  digest TEXT    PRIMARY KEY,
  code   TEXT    NOT NULL, -- of the relay or the bounce
  at     INTEGER NOT NULL
) WITHOUT ROWID;

-- What letters are called in lists, and what they are found by: the stems of
-- their words (extract/polish), each once. The words themselves are not kept.
CREATE TABLE title (letter INTEGER PRIMARY KEY, subject TEXT NOT NULL, sender TEXT NOT NULL);
CREATE VIRTUAL TABLE words USING fts5(title, sender, body, content='', contentless_delete=1, detail=column, tokenize='unicode61 remove_diacritics 0');
INSERT INTO words(words, rank) VALUES('secure-delete', 1);

-- Letters whose reading is not in words yet.
CREATE TABLE unworded (letter INTEGER PRIMARY KEY);
-- Not OR IGNORE: within an upsert its own conflict clause takes the place of a
-- trigger's (SQLite, CREATE TRIGGER), and a letter may be read again before its
-- words are here.
CREATE TRIGGER letter_new AFTER INSERT ON letter WHEN new.read > 0 BEGIN
  INSERT INTO unworded SELECT new.id WHERE NOT EXISTS (SELECT 1 FROM unworded WHERE letter = new.id); END;
CREATE TRIGGER letter_read AFTER UPDATE OF read ON letter WHEN new.read <> old.read BEGIN
  INSERT INTO unworded SELECT new.id WHERE NOT EXISTS (SELECT 1 FROM unworded WHERE letter = new.id); END;
