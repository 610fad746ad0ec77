package mail

// SafeName makes a name for display and download out of a declared one, for
// files that lie deeper than a mail: members of archives. typ is the type of
// the content, path the part's place in the letter. Of folders only the last
// name is kept.
func SafeName(declared, typ, path string) string { return safeName(declared, typ, path) }

// OddName tells whether a declared name could mislead a person or a file
// system. Folders in it are no oddity of an archive.
func OddName(name string) bool { return oddName(name) }
