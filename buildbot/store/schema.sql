-- The whole schema, as a fresh store gets it. Times are epoch seconds (REAL); NULL means "not yet" unless said otherwise.
-- JSON columns hold plain data as text. Ids are never used again (AUTOINCREMENT), so a URL never changes its meaning.
-- Whoever changes this file appends an upgrader to buildbot/store/upgrades.py and freezes the old text under tests.

CREATE TABLE changes (                  -- what somebody did to the source
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again
    arrived_at REAL NOT NULL,           -- when we stored it; stable timers count from here
    committed_at REAL,                  -- the commit's own date; NULL: the source did not say
    author TEXT NOT NULL,               -- as the source wrote it, usually "Name <address>"
    committer TEXT,                     -- NULL: not known or the same
    comments TEXT NOT NULL,             -- the commit's message
    repository TEXT NOT NULL,           -- '': the source did not say
    project TEXT NOT NULL,              -- '': the source did not say
    codebase TEXT NOT NULL,             -- '': the only one
    branch TEXT,                        -- NULL: the trunk, or no branches
    revision TEXT,                      -- NULL: no revision; such changes are never duplicates
    category TEXT,                      -- what the source files it under; NULL: under nothing
    revlink TEXT NOT NULL,              -- '': none
    source TEXT NOT NULL                -- name of the change source
) STRICT;
CREATE INDEX changes_identity ON changes (revision, branch, repository);
CREATE INDEX changes_branch ON changes (branch, id);
CREATE INDEX changes_arrived ON changes (arrived_at);

CREATE TABLE change_files (             -- the files of each change
    change_id INTEGER NOT NULL REFERENCES changes ON DELETE CASCADE,  -- the change
    position INTEGER NOT NULL,          -- from 0, in the order of the source
    path TEXT NOT NULL,                 -- as the source wrote it
    PRIMARY KEY (change_id, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE change_properties (        -- what the source or its user says of a change
    change_id INTEGER NOT NULL REFERENCES changes ON DELETE CASCADE,  -- the change
    name TEXT NOT NULL,                 -- of the property
    value TEXT NOT NULL CHECK (json_valid(value)),  -- JSON
    source TEXT NOT NULL,               -- shown to people: where the value comes from
    PRIMARY KEY (change_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE patches (                  -- what try jobs bring along
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again
    level INTEGER NOT NULL,             -- leading path components to strip, as patch -p
    body BLOB NOT NULL,                 -- the diff, as it was sent
    subdir TEXT NOT NULL,               -- '': the top of the tree
    author TEXT NOT NULL,               -- who sent it; '': not said
    comment TEXT NOT NULL               -- '': none
) STRICT;

CREATE TABLE source_stamps (            -- what exactly is to be built
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again
    codebase TEXT NOT NULL,             -- '': the only one
    repository TEXT NOT NULL,           -- '': the one that the build step names
    project TEXT NOT NULL,              -- '': none
    branch TEXT,                        -- NULL: the default branch
    revision TEXT,                      -- NULL: whatever is newest when the build runs
    patch_id INTEGER REFERENCES patches,  -- applied after the checkout; NULL: none
    created_at REAL NOT NULL            -- with the buildset that first used it
) STRICT;
CREATE INDEX source_stamps_branch ON source_stamps (branch);
CREATE INDEX source_stamps_revision ON source_stamps (revision) WHERE revision IS NOT NULL;
CREATE INDEX source_stamps_patch ON source_stamps (patch_id) WHERE patch_id IS NOT NULL;

CREATE TABLE source_stamp_changes (     -- the changes that led to this stamp: the blame list
    source_stamp_id INTEGER NOT NULL REFERENCES source_stamps ON DELETE CASCADE,  -- the stamp
    change_id INTEGER NOT NULL REFERENCES changes ON DELETE CASCADE,  -- the change
    PRIMARY KEY (source_stamp_id, change_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX source_stamp_changes_change ON source_stamp_changes (change_id);

CREATE TABLE builders (                 -- all that ever were in the configuration
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again
    name TEXT NOT NULL UNIQUE,          -- as the configuration says it; in URLs
    position INTEGER NOT NULL,          -- order in the configuration
    description TEXT NOT NULL,          -- '': none
    tags TEXT NOT NULL CHECK (json_valid(tags)),  -- a JSON list of words
    last_number INTEGER NOT NULL,       -- the number of its newest build; 0: none yet
    removed_at REAL                     -- when the configuration stopped naming it; NULL: it is there
) STRICT;

CREATE TABLE slaves (                   -- all that ever were in the configuration
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again
    name TEXT NOT NULL UNIQUE,          -- as the configuration says it; it logs in with it
    connected_at REAL,                  -- NULL: not connected now
    lost_at REAL,                       -- when the last connection ended; NULL: never
    heard_at REAL,                      -- last sign of life that was written down (coarse)
    incarnation TEXT,                   -- random id of the slave's process; NULL: it gives none
    version TEXT,                       -- of its software; NULL: it did not say
    details TEXT NOT NULL CHECK (json_valid(details)),  -- admin, host, system ... as the slave told
    removed_at REAL                     -- when the configuration stopped naming it; NULL: it is there
) STRICT;

CREATE TABLE buildsets (                -- what was asked for together
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again
    external_id TEXT,                   -- a try job's id
    reason TEXT NOT NULL,               -- in words: why it was made
    scheduler TEXT,                     -- NULL: a rebuild, or made by hand
    submitted_at REAL NOT NULL,         -- when it and its requests were made
    complete_at REAL,                   -- when its last request was; NULL while one is open
    result INTEGER,                     -- model.Result; NULL while requests are open
    parent_build_id INTEGER REFERENCES builds ON DELETE SET NULL,  -- the build whose Trigger made it
    parent_relationship TEXT            -- what it is to that build, in words; NULL: it has no parent
) STRICT;
CREATE INDEX buildsets_open ON buildsets (id) WHERE complete_at IS NULL;
CREATE INDEX buildsets_scheduler ON buildsets (scheduler, id) WHERE scheduler IS NOT NULL;
CREATE INDEX buildsets_external ON buildsets (external_id) WHERE external_id IS NOT NULL;
CREATE INDEX buildsets_parent ON buildsets (parent_build_id) WHERE parent_build_id IS NOT NULL;

CREATE TABLE buildset_source_stamps (   -- one a codebase
    buildset_id INTEGER NOT NULL REFERENCES buildsets ON DELETE CASCADE,  -- the buildset
    source_stamp_id INTEGER NOT NULL REFERENCES source_stamps,  -- the stamp
    PRIMARY KEY (buildset_id, source_stamp_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX buildset_source_stamps_stamp ON buildset_source_stamps (source_stamp_id);

CREATE TABLE buildset_properties (      -- given to each of its builds
    buildset_id INTEGER NOT NULL REFERENCES buildsets ON DELETE CASCADE,  -- the buildset
    name TEXT NOT NULL,                 -- of the property
    value TEXT NOT NULL CHECK (json_valid(value)),  -- JSON
    source TEXT NOT NULL,               -- shown to people: where the value comes from
    PRIMARY KEY (buildset_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE build_requests (           -- one builder's part of a buildset: the queue
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again
    buildset_id INTEGER NOT NULL REFERENCES buildsets ON DELETE CASCADE,  -- the buildset
    builder_id INTEGER NOT NULL REFERENCES builders,  -- the builder
    priority INTEGER NOT NULL,          -- higher goes first
    submitted_at REAL NOT NULL,         -- its place in the queue among equal priorities
    claimed_at REAL,                    -- a build of this master works on it
    complete_at REAL,                   -- NULL: it is open
    result INTEGER,                     -- model.Result; NULL while it is open
    waited_for INTEGER NOT NULL CHECK (waited_for IN (0, 1)),  -- a parent build waits for it
    retries INTEGER NOT NULL,           -- how often a build of it ended as RETRY
    parked_reason TEXT,                 -- why it is not tried again by itself; NULL: it is not parked
    cancelled_because TEXT              -- by whom it was cancelled, and why, in words; NULL: it was not
) STRICT;
CREATE INDEX build_requests_pending ON build_requests (builder_id, priority DESC, submitted_at, id)
    WHERE claimed_at IS NULL AND complete_at IS NULL;
CREATE INDEX build_requests_waiting ON build_requests (id) WHERE claimed_at IS NULL AND complete_at IS NULL;
CREATE INDEX build_requests_children ON build_requests (builder_id, priority DESC, submitted_at, id)
    WHERE waited_for = 1 AND claimed_at IS NULL AND complete_at IS NULL;
CREATE INDEX build_requests_buildset ON build_requests (buildset_id);
CREATE INDEX build_requests_builder ON build_requests (builder_id, id);

CREATE TABLE builds (                   -- what ran, or runs
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again
    builder_id INTEGER NOT NULL REFERENCES builders,  -- the builder
    number INTEGER NOT NULL,            -- from 1 in each builder
    slave_id INTEGER REFERENCES slaves, -- where it runs; NULL: not known
    started_at REAL NOT NULL,           -- when its requests were claimed
    complete_at REAL,                   -- NULL: it runs
    result INTEGER,                     -- model.Result; NULL while it runs
    state_text TEXT NOT NULL,           -- one line for people
    reason TEXT NOT NULL,               -- why it was built, from its first buildset
    attempt INTEGER NOT NULL,           -- 1, or more after RETRY
    stop_reason TEXT,                   -- somebody asked for its end, and why; NULL: nobody did
    stop_result INTEGER,                -- model.Result that it comes to then; NULL: nobody asked for its end
    stop_step INTEGER,                  -- how many steps it had ended when somebody asked; NULL: nobody asked
    recipe TEXT CHECK (recipe IS NULL OR json_valid(recipe)),  -- digests of its steps' configuration; NULL: finished
    slot INTEGER NOT NULL DEFAULT 1,    -- which of its builder's directories on the slave it has, from 1
    UNIQUE (builder_id, number)
) STRICT;
CREATE INDEX builds_running ON builds (builder_id) WHERE complete_at IS NULL;
CREATE INDEX builds_started ON builds (started_at);
CREATE INDEX builds_builder_started ON builds (builder_id, started_at);
CREATE INDEX builds_slave ON builds (slave_id, id);

CREATE TABLE build_requests_of_builds ( -- several when requests were merged; several builds a request after RETRY
    build_id INTEGER NOT NULL REFERENCES builds ON DELETE CASCADE,  -- the build
    request_id INTEGER NOT NULL REFERENCES build_requests ON DELETE CASCADE,  -- the request
    merged_because TEXT,                -- why it is built along with another one; NULL: the build was made for it
    PRIMARY KEY (build_id, request_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX build_requests_of_builds_request ON build_requests_of_builds (request_id);

CREATE TABLE build_properties (         -- as they were at the end of the build, or are now
    build_id INTEGER NOT NULL REFERENCES builds ON DELETE CASCADE,  -- the build
    name TEXT NOT NULL,                 -- of the property
    value TEXT NOT NULL CHECK (json_valid(value)),  -- JSON
    source TEXT NOT NULL,               -- shown to people: where the value comes from
    literal TEXT,                       -- as Python writes it, if JSON changes it; '': it holds a secret; else NULL
    PRIMARY KEY (build_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE steps (                    -- of each build, in order
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again
    build_id INTEGER NOT NULL REFERENCES builds ON DELETE CASCADE,  -- the build
    number INTEGER NOT NULL,            -- from 0 in each build
    name TEXT NOT NULL,                 -- unique in its build
    started_at REAL,                    -- when its turn came
    complete_at REAL,                   -- NULL: it runs
    result INTEGER,                     -- model.Result; NULL while it runs
    state_text TEXT NOT NULL,           -- one line for people
    hidden INTEGER NOT NULL CHECK (hidden IN (0, 1)),  -- 1: pages leave it out
    words TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(words)),  -- a JSON list: what it adds to the text of its build
    statistics TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(statistics)),  -- JSON: its numbers, such as tests passed
    locks_since REAL,                   -- since when it waits for locks; NULL: it waits for none
    code_began_at REAL,                 -- when its own code began to run; NULL: it waits, or is skipped
    made_steps INTEGER NOT NULL DEFAULT 0 CHECK (made_steps IN (0, 1)),  -- 1: it added steps to its build
    began_with TEXT CHECK (began_with IS NULL OR json_valid(began_with)),  -- JSON: see steps.Record; NULL: as before
    UNIQUE (build_id, number)
) STRICT;

CREATE TABLE step_urls (                -- links that a step shows
    step_id INTEGER NOT NULL REFERENCES steps ON DELETE CASCADE,  -- the step
    name TEXT NOT NULL,                 -- the text of the link
    url TEXT NOT NULL,                  -- where it leads
    PRIMARY KEY (step_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE commands (                 -- the journal: what each step asked of its slave
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again
    step_id INTEGER NOT NULL REFERENCES steps ON DELETE CASCADE,  -- the step
    ordinal INTEGER NOT NULL,           -- from 0 in each step
    name TEXT NOT NULL,                 -- 'shell', 'mkdir' ...
    args TEXT NOT NULL CHECK (json_valid(args)),   -- secrets already replaced by their names
    state TEXT NOT NULL CHECK (state IN ('ordered', 'running', 'finished', 'lost')),  -- model.CommandState
    incarnation TEXT,                   -- of the slave's process that got the order
    ordered_at REAL NOT NULL,           -- before the slave was asked
    finished_at REAL,                   -- when its end was stored, or its slave was lost
    outcome TEXT CHECK (outcome IS NULL OR json_valid(outcome)),  -- what the slave answered; NULL: nothing
    left_at REAL,                       -- when it was lost while it may still run on its slave; NULL: it does not
    UNIQUE (step_id, ordinal)
) STRICT;
CREATE INDEX commands_open ON commands (id) WHERE state IN ('ordered', 'running');
CREATE INDEX commands_left ON commands (id) WHERE left_at IS NOT NULL;

CREATE TABLE logs (                     -- their bytes are in files
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again
    step_id INTEGER NOT NULL REFERENCES steps ON DELETE CASCADE,  -- the step
    name TEXT NOT NULL,                 -- as the step calls it
    slug TEXT NOT NULL,                 -- its name in a URL and in a file name
    kind TEXT NOT NULL CHECK (kind IN ('stream', 'text', 'html')),  -- stream: with channels; html: shown as it is
    path TEXT NOT NULL,                 -- below the logs directory
    size INTEGER,                       -- bytes; NULL while it grows (ask the file)
    lines INTEGER,                      -- NULL while it grows
    created_at REAL NOT NULL,           -- when the step opened it
    finished_at REAL,                   -- NULL: it grows
    removed_at REAL,                    -- when retention took the file away
    removed_by TEXT,                    -- by which rule
    packed_as TEXT,                     -- 'zstd': compressed; 'raw': looked at and left as it is; NULL: not looked at yet
    UNIQUE (step_id, slug)
) STRICT;
CREATE INDEX logs_open ON logs (id) WHERE finished_at IS NULL;
CREATE INDEX logs_removed ON logs (removed_at, id) WHERE removed_at IS NOT NULL;
CREATE INDEX logs_unpacked ON logs (finished_at) WHERE packed_as IS NULL AND removed_at IS NULL;

CREATE TABLE schedulers (               -- how far each has looked at the changes
    name TEXT PRIMARY KEY,              -- as the configuration says it
    first_change_id INTEGER NOT NULL,   -- changes up to this one came before it knew us: never looked at
    classified_change_id INTEGER NOT NULL,  -- every change up to this one has a verdict
    removed_at REAL                     -- when the configuration stopped naming it; NULL: it is there
) STRICT;

CREATE TABLE scheduler_state (          -- what a scheduler must remember
    scheduler TEXT NOT NULL,            -- its name
    name TEXT NOT NULL,                 -- of what it remembers
    value TEXT NOT NULL CHECK (json_valid(value)),  -- JSON
    PRIMARY KEY (scheduler, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE classifications (          -- what each scheduler thinks of each change
    scheduler TEXT NOT NULL,            -- its name
    change_id INTEGER NOT NULL REFERENCES changes ON DELETE CASCADE,  -- the change
    verdict TEXT NOT NULL CHECK (verdict IN ('important', 'unimportant', 'not mine', 'failed')),  -- model.Verdict
    reason TEXT NOT NULL,               -- in words: why this verdict
    classified_at REAL NOT NULL,        -- when it was judged
    buildset_id INTEGER REFERENCES buildsets ON DELETE SET NULL,  -- the buildset it went into
    retired INTEGER NOT NULL CHECK (retired IN (0, 1)),  -- 1: decided upon, or never to be
    PRIMARY KEY (scheduler, change_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX classifications_waiting ON classifications (scheduler, verdict, change_id) WHERE retired = 0;
CREATE INDEX classifications_change ON classifications (change_id);
CREATE INDEX classifications_buildset ON classifications (buildset_id) WHERE buildset_id IS NOT NULL;

CREATE TABLE source_state (             -- what a change source must remember, such as the heads it has seen
    source TEXT NOT NULL,               -- the change source's name
    name TEXT NOT NULL,                 -- of what it remembers
    value TEXT NOT NULL CHECK (json_valid(value)),  -- JSON
    PRIMARY KEY (source, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (                   -- append-only; written with the fact it tells
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again
    happened_at REAL NOT NULL,          -- the time of the fact it tells
    kind TEXT NOT NULL,                 -- model.EventKind
    subject_id INTEGER,                 -- id of the change, buildset, request, build or slave; NULL: the master
    detail TEXT NOT NULL CHECK (json_valid(detail))  -- JSON: what else is to be told, by kind
) STRICT;
CREATE INDEX events_kind ON events (kind, id);
CREATE INDEX events_time ON events (happened_at);

CREATE TABLE cursors (                  -- how far each receiver has told what happened
    receiver TEXT PRIMARY KEY,          -- its name
    event_id INTEGER NOT NULL,          -- the last event it has dealt with
    failures INTEGER NOT NULL,          -- in a row, on the event after that
    next_try_at REAL,                   -- not before; NULL: at once
    last_error TEXT                     -- of those failures; NULL: there is none
) STRICT, WITHOUT ROWID;

CREATE TABLE operator_actions (         -- what people did, and why
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again
    acted_at REAL NOT NULL,             -- when it was done
    who TEXT NOT NULL,                  -- the name they logged in with, or where they came from
    what TEXT NOT NULL,                 -- 'force', 'stop build' ...
    subject TEXT NOT NULL,              -- what it was done to, as a person says it
    why TEXT NOT NULL                   -- in their own words; '': not said
) STRICT;
CREATE INDEX operator_actions_subject ON operator_actions (subject, id);

CREATE TABLE master_runs (              -- the lives of this master's process
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again
    incarnation TEXT NOT NULL,          -- random id of the process
    started_at REAL NOT NULL,           -- when it opened the store
    stopped_at REAL                     -- NULL: it runs, or it died without saying so
) STRICT;

CREATE TABLE absences (                 -- when the master or a slave was away while builds went on
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again
    slave_id INTEGER REFERENCES slaves ON DELETE CASCADE,  -- who was away; NULL: the master
    began_at REAL NOT NULL,             -- last sign of life
    ended_at REAL NOT NULL,             -- when it was back
    why TEXT NOT NULL                   -- in words: killed, restarted, connection lost
) STRICT;
CREATE INDEX absences_time ON absences (began_at);

CREATE TABLE pauses (                   -- what somebody has paused; a row is gone when it goes on
    kind TEXT NOT NULL CHECK (kind IN ('builder', 'slave', 'scheduler')),  -- what kind of thing
    name TEXT NOT NULL,                 -- its name in the configuration
    graceful INTEGER NOT NULL CHECK (graceful IN (0, 1)),  -- 1: a slave that ends its process when nothing runs on it
    paused_at REAL NOT NULL,            -- since when
    who TEXT NOT NULL,                  -- who did it
    why TEXT NOT NULL,                  -- in their own words; '': not said
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE retention_passes (         -- when what is old was looked for; the newest 50
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again
    began_at REAL NOT NULL,             -- when it began
    ended_at REAL,                      -- NULL: it is under way, or the process ended in it
    removed TEXT NOT NULL CHECK (json_valid(removed)),  -- JSON: how many of each kind
    problem TEXT                        -- what kept it from its end; NULL: nothing
) STRICT;

CREATE TABLE build_data (               -- what steps keep of a build besides its logs
    build_id INTEGER NOT NULL REFERENCES builds ON DELETE CASCADE,  -- the build
    name TEXT NOT NULL,                 -- by which steps find it
    value BLOB NOT NULL,                -- the bytes, secrets in them hidden
    source TEXT NOT NULL,               -- shown to people: where the value comes from
    PRIMARY KEY (build_id, name)
) STRICT;

CREATE TABLE test_result_sets (         -- results of one kind that a step tells
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again
    builder_id INTEGER NOT NULL REFERENCES builders,  -- the builder of the build
    build_id INTEGER NOT NULL REFERENCES builds ON DELETE CASCADE,  -- the build
    step_id INTEGER NOT NULL REFERENCES steps ON DELETE CASCADE,  -- the step that tells them
    number INTEGER NOT NULL,            -- from 0 in each step
    description TEXT NOT NULL,          -- what they are, for people; the same in each build
    category TEXT NOT NULL,             -- 'pass_fail', 'code_issue' ...: whether a value means passed or failed
    value_unit TEXT NOT NULL,           -- of the values: 'boolean', 'message', 'ms' ...
    told INTEGER NOT NULL,              -- how many results the step has told, also those that are not kept
    passed INTEGER NOT NULL,            -- how many of them passed
    failed INTEGER NOT NULL,            -- how many of them failed
    UNIQUE (step_id, number)
) STRICT;
CREATE INDEX test_result_sets_build ON test_result_sets (build_id, id);
CREATE INDEX test_result_sets_builder ON test_result_sets (builder_id, id);

CREATE TABLE test_texts (               -- names of tests and paths of their code, each once a builder
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again
    builder_id INTEGER NOT NULL REFERENCES builders,  -- the builder
    text TEXT NOT NULL,                 -- the name, or the path
    used_by INTEGER NOT NULL,           -- no set with a number higher by testresults.LAG refers to it
    UNIQUE (builder_id, text)
) STRICT;
CREATE INDEX test_texts_used ON test_texts (builder_id, used_by);

CREATE TABLE test_results (             -- one value of a test, or of a place in the code
    set_id INTEGER NOT NULL REFERENCES test_result_sets ON DELETE CASCADE,  -- the set
    ordinal INTEGER NOT NULL,           -- from 0 in each set, as the step told them
    name_id INTEGER,                    -- of test_texts: the test; NULL: the place alone is known
    path_id INTEGER,                    -- of test_texts: the file of its code; NULL: not told
    line INTEGER,                       -- in that file; NULL: not told
    duration_ns INTEGER,                -- how long it took, nanoseconds; NULL: not told
    value TEXT NOT NULL,                -- in the unit of the set
    passed INTEGER CHECK (passed IN (0, 1)),  -- NULL: the value says neither
    details TEXT CHECK (details IS NULL OR json_valid(details)),  -- JSON: what is said about it; NULL: nothing
    PRIMARY KEY (set_id, ordinal)
) STRICT, WITHOUT ROWID;
CREATE INDEX test_results_failed ON test_results (set_id, name_id) WHERE passed = 0;
