# SPDX-License-Identifier: Apache-2.0
"""The changes that mutate.py makes, and why some of them go unnoticed: they change nothing that anybody could see."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

SWAPS = [
    (r" < ", [" <= ", " >= "]), (r" > ", [" >= ", " <= "]), (r" <= ", [" < ", " > "]), (r" >= ", [" > ", " < "]),
    (r" == ", [" != "]), (r" != ", [" == "]), (r" && ", [" || "]), (r" \|\| ", [" && "]),
    (r"(?<=[( ])!(?=[a-z(*])", [""]), (r"\btrue\b", ["false"]), (r"\bfalse\b", ["true"]),
    (r" \+ ", [" - "]), (r" - ", [" + "]), (r" \+= ", [" -= "]), (r"\+\+", ["--"]), (r"(?<=\w)--|--(?=\w)", ["++"]),
    (r" \* (?=[\w(])", [" / "]), (r" / ", [" * "]), (r" \| \w+", [""]), (r" & \w+", [""]),
    (r"(?<=[=(,] )([!\w.>\[\]-]+)(?= \?)", [r"!(\1)"]), (r"(?<=return )([!\w.>\[\]-]+)(?= \?)", [r"!(\1)"]),
    (r"\bLOOK_SOON_USEC", ["LOOK_LATER_USEC"]), (r"\bLOOK_LATER_USEC", ["LOOK_SOON_USEC"]), (r"\b_MIN_USEC", ["_MAX_USEC"]),
    (r"ACTION_WAIT, ", ["ACTION_HOLD, "]), (r"ACTION_HOLD, ", ["ACTION_WAIT, "]),
    (r"(?<=, )REASON_(?!NONE)\w+(?=[,)])", ["REASON_NONE"]), (r"(?<=return )REASON_\w+", ["REASON_NONE"]),
    (r"(?<=return )OUTCOME_\w+", ["OUTCOME_OPEN", "OUTCOME_DONE"]),
    # Which error it is does not count, but that it is one; nor how large a buffer is.
    (r"\breturn (?!0;|NULL;|true;|false;)[^;]+;", ["return 0;"]),
    (r"(?<![\w.\"{-])(?<!\w\[)([1-9]\d*|0[0-7]+)(?=[\s,;)\]])", [r"(\1 + 1)", r"(\1 - 1)"]),
    (r"(?<![\w.\"{])0(?=[\s,;)\]])", ["1"]),
]
CONDITION = re.compile(r"\b(?:if|while) \(")
# Where a statement begins, and what it is: an assignment to what is declared, a call, a jump.
STATEMENT = re.compile(r"(?m)^ +"
                       r"((?:\*?\(?[\w>.\[\]-]+\)?(?: [-+|&]?= |\+\+;|--;)|(?:\(void\) )?\w+\(|break;|continue;|return\b)[^;]*;)")
NO_STATEMENT = re.compile(r"(?:if|while|for|switch|_cleanup_\w*|\w+_foreach)\b")
BLANK = re.compile(r"/\*.*?\*/|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])+'|(?m:^#(?!define \w+ )[^\n]*)", re.S)


@dataclass(frozen=True)
class Mutant:
    path: Path
    start: int
    end: int
    new: str

    @property
    def room(self):
        return self.path.parent.name

    @property
    def stem(self):
        return self.path.stem

    def text(self):
        text = self.path.read_text()
        return text[:self.start] + self.new + text[self.end:]

    def unchanged(self):
        return replace(self, end=self.start, new="")

    def was(self):
        return lines_of(self.path.read_text(), self.start, self.end)

    def with_neighbours(self):
        """The lines before and after it, too."""
        text = self.path.read_text()
        return lines_of(text, max(text.rfind("\n", 0, self.start), 0), text.find("\n", self.end) + 1)

    def now(self):
        return lines_of(self.text(), self.start, self.start + len(self.new))

    def __str__(self):
        return f"{place_of(self)}\n    as: {self.now()}"


def lines_of(text, start, end):
    """The whole lines, as one."""
    first, last = text.rfind("\n", 0, start) + 1, text.find("\n", end)
    return " ".join(text[first:last].split())


def place_of(mutant):
    line = mutant.path.read_text().count("\n", 0, mutant.start) + 1
    return f"{mutant.room}/{mutant.path.name}:{line}: {mutant.was()}"


def closing(code, opening):
    depth = 0
    for i in range(opening, len(code)):
        depth += (code[i] == "(") - (code[i] == ")")
        if depth == 0:
            return i
    raise ValueError("a parenthesis that is not closed")


def mutants_of(path):
    """Every change of a file, in its order."""
    text = path.read_text()
    code = BLANK.sub(lambda m: re.sub(r"[^\n]", "_" if m[0][0] in "\"'" else " ", m[0]), text)
    found = set()
    for pattern, replacements in SWAPS:
        for match in re.finditer(pattern, code):
            found |= {(match.start(), match.end(), match.expand(replacement)) for replacement in replacements}
    for match in CONDITION.finditer(code):
        end = closing(code, match.end() - 1)
        found.add((match.end(), end, f"!({text[match.end():end]})"))
    for match in STATEMENT.finditer(code):
        if not NO_STATEMENT.match(match[1]):
            found.add((match.start(1), match.end(1), "{}"))
    return [Mutant(path, *change) for change in sorted(found) if is_inside(code, change[0])]


def is_inside(code, at):
    """Of a function, an enum, or a #define of a number; a declaration at the left edge has no change in it."""
    first = code.rfind("\n", 0, at) + 1
    return code[first] in " #"


# (what stands there, what of the change, why): in the file, or anywhere.
SAME = [
    ("fd >= 0", "fd > 0", "0 is standard input"),
    ("fd >= 0", "fd >= 1", "0 is standard input"),
    ("fd < 0", "fd <= 0", "0 is standard input"),
    ("fd < 0", "fd < 1", "0 is standard input"),
    ("F_DUPFD_CLOEXEC, 0)", "F_DUPFD_CLOEXEC, 1)", "0 is standard input"),
    # decision
    ("i < failures && pause < max", "", "the second half only keeps the pause from running over"),
    ("return pause < max ? pause : max", "<=", "equal is equal"),
    ("now + LOOK_SOON_USEC < deadline ?", "<=", "equal is equal"),
    ("f->waiting_since_usec > f->idle_usec ?", ">=", "equal is equal"),
    ("(settled > f->needed_usec ?", ">=", "equal is equal"),
    ("if (settled > latest)", ">=", "equal is equal"),
    ("f->needed_usec + ASKING_MAX_USEC)", "", "equal is equal"),
    ("next < f->pause_usec ?", "<=", "equal is equal"),
    ("r->restart_usec > 0", "r->restart_usec > 1", "0 is never, and nothing is restarted in the very first microsecond"),
    ("f->running_usec > 0", "f->running_usec > 1", "0 is never, and nothing runs in the very first microsecond"),
    ("f->not_recorded_usec > 0", "f->not_recorded_usec > 1", "0 is never, and nothing fails in the very first microsecond"),
    ("? f->written_usec : 1;", "(1 + 1);", "either is at once: nobody asks in the very first microsecond"),
    ("uint64_t host = 0;", "= 1;", "the 64 bits that are shifted in behind it leave nothing of it"),
    # ecsconfig
    ("readlink(name, target, sizeof(target) - 1)", "(1 - 1)", "no link leads to more than PATH_MAX - 1 characters"),
    ("openat(t->directory_fd, t->name, O_RDONLY | O_NOFOLLOW", "O_RDONLY | O_NONBLOCK",
     "a link leads to another file, or is found when the name is looked at"),
    ("BUSY_WAIT_MSEC = 50", "(50 + 1)", "a fiftieth of a wait"),
    ("BUSY_WAIT_MSEC = 50", "(50 - 1)", "a fiftieth of a wait"),
    ("i < ROUNDS_MAX;", "unsigned i = 1;", "one round less of 100"),
    ("i < ROUNDS_MAX;", "i <= ROUNDS_MAX;", "one round more of 100"),
    ("from < 0", "from <= 0", "0 is standard input"),
    ("from < 0", "from < 1", "0 is standard input"),
    ("_cleanup_close_ int fd = openat(directory_fd, name, O_RDONLY ", "O_NONBLOCK | O_CLOEXEC",
     "nobody gives the device of a terminal the name of a leftover"),
    ("*encoded = xcalloc(", "4 + 1", "room that is not used"),
    ("*encoded = xcalloc(", "(n + 2) * 3", "room that is not used"),
    ("*encoded = xcalloc(", "/ (3 - 1)", "room that is not used"),
    ("*encoded = xcalloc(", "/ 3) + (1 + 1)", "room that is not used"),
    ("snprintf(plain, n + 1, \"%s:%s\"", "n + (1 + 1)", "it has n characters"),
    ("plain = xcalloc(1, strlen(auth) + 1);", "+ (1 + 1)", "room that is not used"),
    ("\"auth\", false, &auth", "true", "an empty one decodes to nothing, which is no entry either"),
    ("l->due < g->next)", "l->due <= g->next)", "equal is equal"),
    ("while (l.length > 0 && is_blank(l.text[0]))", "l.length > 1", "one that is the whole line is taken from its end"),
    ("snprintf(ret + used, size - used, ", "size + used", "it fits: before what would not it is cut"),
    ("return x < y ? 1 : x > y ? -1 : ", "x < y ? (1 + 1) : x", "any number above zero is greater"),
    ("(int64_t) t->tv_sec * 1000000000 + t->tv_nsec", "(1000000000 ", "a nanosecond in each second that lies between"),
    ("openat(x->directory_fd, x->temporary, O_RDONLY ", "O_NONBLOCK | O_CLOEXEC",
     "nobody puts the device of a terminal there at that moment"),
    ("return c->username && c->password ? 0", "? 1 : -ENOMEM", "the caller asks only whether it failed"),
    ("plain = malloc(n + 1);", "1 + 1", "room that is not used"),
    ("size_t largest = ", "(1 + 1)", "room that is not used"),
    ("calloc(1, ", "calloc((1 + 1), ", "room that is not used"),
    ("XATTR_NAMES_MAX = 4096", "4096", "a byte more or less of a large buffer"),
    ("NAME_TRIES = 100", "100", "a name of eight letters by chance is not taken so often"),
    ("letters[random[i] %", "- (1 + 1))", "one letter less to choose from"),
    (", \".%s.ecs-authd", " < 1", "such a text is not empty"),
    (", \".%s.ecs-authd", " <= 0", "such a text is not empty"),
    ("i < LOCK_TRIES", "i <= ", "one try more of 400"),
    ("LOCK_TRIES = 400", "400", "one try more or less of 400"),
    ("tick = 12 * 1000000", "(12 + 1) * 1000000", "the clock has ticks of 10 ms at the most"),
    ("tick = 12 * 1000000", "(12 - 1) * 1000000", "the clock has ticks of 10 ms at the most"),
    ("LOCK_WAIT_MSEC = 50", "(50 + 1)", "a fiftieth of a wait"),
    ("if (age < tick)", "age <= tick", "equal is a pause of nothing"),
    ("encoded[0] = 0;", "encoded[1]", "where there is no memory, and nothing in it: any NUL will do to free it"),
    ("if (age < 0)", "age < 1", "no clock hits the nanosecond"),
    ("secret_dup(\"\", 0)", "secret_dup(\"\", 1)", "one NUL more; its length is told elsewhere, or ends at the first"),
    ("if (outcome < 0)", "if (outcome < 1)", "what did not fail is SYNC_WRITTEN or SYNC_REMOVED"),
    ("(new.st_mode & 07777)", "(new.st_mode & (07777 - 1))", "a new file is closed to others, or has the old one's ACL"),
    ("openat(directory_fd, \".\", ", "O_RDONLY | O_CLOEXEC", "that is a directory"),
    # credentials
    ("calloc(1, length + 4)", "4 + 1", "room that is not used"),
    ("if (r < 0 || (size_t) r < padding)", "r <= padding", "nothing has no colon either, and is refused for that"),
    ("r -= (int) padding;", "{}", "the NULs of the padding are cut off with any others"),
    ("&& c->identity_token ? 0 : r;", "? 1 : r;", "the caller asks only whether it failed"),
    ("= calloc(n + 1, sizeof(", "(1 - 1)", "an empty list uses none, and calloc(3) of none is a pointer"),
    ("= calloc(n + 1, sizeof(", "(1 + 1)", "room that is not used"),
    ("= calloc(n + 3, sizeof(", "(3 + 1)", "room that is not used"),
    ("(lease->due > 0 && now >= lease->due)", "lease->due > 1", "0 is never, and nothing is due in the very first microsecond"),
    ("if (when > 0 && (round->next == 0", "when > 1", "0 is never, and nothing is due in the very first microsecond"),
    ("if (end > 0 && end <= now)", "end > 1", "it is of whole seconds"),
    ("size_t best_literal = 0, best_wild = 0;", "= 1", "nobody looks at them before there is a best one"),
    ("finish(r, -E", ", 1);", "an error counts, not the status beside it"),
    ("socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0", "CLOEXEC, 1", "1 is PF_UNIX, the only protocol there is"),
    ("int64_t end = 0, lifetime;", "", "with an answer comes an end of its own"),
    ("chance = 0;", "chance = 1;", "the kernel always has random bytes"),
    ("FILE_SIZE_MAX = 64 * 1024 * 1024", "(64 + 1) *", "no host has leases for nearly that much"),
    ("FILE_SIZE_MAX = 64 * 1024 * 1024", "(64 - 1) *", "no host has leases for nearly that much"),
    ("FILE_SIZE_MAX = 64 * 1024 * 1024", "(1024 + 1)", "no host has leases for nearly that much"),
    ("FILE_SIZE_MAX = 64 * 1024 * 1024", "(1024 - 1)", "no host has leases for nearly that much"),
    ("lease->due == 0 || lease->due > due", "lease->due >= due", "equal is equal"),
    ("when < round->next)", "when <= round->next)", "equal is equal"),
    ("char suffix[RANDOM_LETTERS + 1]", "1 + 1", "room that is not used"),
    ("strlen(c->identity_token)) + 128;", "128 + 1", "room that is not used"),
    ("plain = calloc(1, padded + 1);", "1 + 1", "room that is not used"),
    ("size_t size = 1;", "1 + 1", "room that is not used"),
    ("size_t size = 1;", "1 - 1", "an empty list uses no byte, and calloc(3) of none is a pointer"),
    ("size = length + strlen(value) + 2;", "(2 + 1)", "room that is not used"),
    ("= calloc(c->n_items + 1, ", "+ (1 + 1), sizeof(", "room that is not used"),
    ("= calloc(c->n_items + 1, ", "+ (1 - 1), sizeof(", "an empty list uses none, and calloc(3) of none is a pointer"),
    ("= calloc(c->n_stores + 1, ", "+ (1 + 1), sizeof(", "room that is not used"),
    ("if (r < 0 || (size_t) r < padding)", "if (r < 1 ||", "nothing has no colon either, and is refused for that"),
    ("if (r < 0 || (size_t) r < padding)", "if (r <= 0 ||", "nothing has no colon either, and is refused for that"),
    ("const int low = STDERR_FILENO + 1;", "1 + 1", "one number more is /dev/null"),
    ("for (int s = 1; s < NSIG; s++)", "1 - 1", "there is no signal 0"),
    ("decoded[r] = 0;", "{}", "EVP_DecodeBlock() ends with a zero for each padding, and the rest was zeroed"),
    ("n > 0 && s[n - 1] == '/'; n--)", "n > 1", "a name of slashes alone is refused either way"),
    ("report.outcome = SYNC_FAILED;", "{}", "so it was from the first on"),
    ("if (errno != EWOULDBLOCK && errno != EINTR)", "== EINTR", "no other error comes of this lock"),
    ("_WAIT_MSEC = ", "000 + 1", "a thousandth of a wait"),
    ("_WAIT_MSEC = ", "000 - 1", "a thousandth of a wait"),
    ("*l = (Lease){0};", "{}", "nobody looks at it again"),
    ("read(fd, &si, sizeof(si)) > 0", "> 1", "it reads whole ones"),
    ("int more = 1", "1 + 1", "any number above zero is more"),
    ("calloc(1, length + 4)", "4 - 1", "two characters of padding at most, and the NUL"),
    ("STDERR_FILENO) < 0)", "STDERR_FILENO) < 1)", "dup2(2) returns the number that it was told"),
    ("STDERR_FILENO) < 0)", "STDERR_FILENO) <= 0)", "dup2(2) returns the number that it was told"),
    ("json_parse_strict(", ", 1, &", "what json-c alone would be strict about (1), our own grammar has refused"),
    ("return n < 0 || n > TIME_MAX ? 0 : n;", "n < 1", "0 is 0"),
    ("return n < 0 || n > TIME_MAX ? 0 : n;", "n <= 0", "0 is 0"),
    ("= reallocarray(", "+ (1 + 1), sizeof(", "room that is not used"),
    ("size_t literal = 0, wild = 0;", "= 1", "what is counted from it is only compared with what else is"),
    ("children < 0", "children <= 0", "0 is standard input"),
    ("children < 0", "children < 1", "0 is standard input"),
    ("PR_SET_CHILD_SUBREAPER, 1)", "(1 + 1)", "whatever is not 0 says yes"),
    ("for (int s = 1; s < NSIG; s++)", "s <= NSIG", "there is no signal NSIG"),
    ("if (pid > 1)", "pid >= 1", "no child is process 1"),
    ("if (pid > 1)", "(1 - 1)", "no child is process 1"),
    ("read(fd, &si, sizeof(si)) > 0", ">= 0", "it reads whole ones, or fails"),
    ("const int low = STDERR_FILENO + 1;", "- 1;", "where nobody writes, these two are as good as any"),
    ("define TIMEOUT_USEC (10 * USEC_PER_SEC)", "(10 + 1)", "a tenth of a wait"),
    ("define TIMEOUT_USEC (10 * USEC_PER_SEC)", "(10 - 1)", "a tenth of a wait"),
]

# (what stands there, or in the line before or after, what of the change, why)
SAME_THERE = [
    ("nanosleep(&settle_wait, NULL);", "if (i > 1)", "one pause less of 1000"),
    ("/* EINVAL: not a link.", "if (n <= 0)", "no link leads to nothing"),
    ("/* EINVAL: not a link.", "if (n < 1)", "no link leads to nothing"),
    ("default: return decision(ACTION_RESTART, REASON_OTHER_CREDENTIALS, 0);", "CREDENTIALS, 1);",
     "with the unit out of the way all that counts comes after it"),
]

# Functions that tell only whether they failed: each caller asks whether it is negative, or hands it on to one that does.
FAILS_OR_NOT = {
    "auth-data": {"take_string"},
    "environment-file": {"lock"},
    "replace-file": {"accept", "put_back", "put_first", "rename_over", "take_file_lease", "check_name", "reopen", "temporary_make",
                     "copy_xattrs", "copy_attributes"},
    "sync": {"sync_once"},
    "gather": {"load_files", "take_answer"},
}
FUNCTION = re.compile(r"(?m)^(?!#)\w[^\n(;=]*?(\w+)\(")


def function_of(mutant):
    """It begins at the left edge. None: what is before the first one."""
    return next((match[1] for match in reversed(list(FUNCTION.finditer(mutant.path.read_text(), 0, mutant.start)))), None)


def why_another_success(mutant):
    was, now, name = mutant.was(), mutant.now(), function_of(mutant)
    if name in FAILS_OR_NOT.get(mutant.stem, ()) and \
            any(was.endswith(success) and now == was.replace(success, success.replace("0", "1"))
                for success in ("return 0;", "int r = 0;", " ? negative_errno() : 0;", " ? 0 : -EAGAIN;", " ? -EAGAIN : 0;")):
        return "whatever is not negative is success"
    return None


def why_same(mutant):
    was, there, now = mutant.was(), mutant.with_neighbours(), mutant.now()
    return why_another_success(mutant) or \
        next((why for rules, text in ((SAME, was), (SAME_THERE, there)) for before, after, why in rules
              if before in text and after in now), None)
