//! Examples of every command: the line, and what it is for.

/// By the command's path without `pabal`. Tests run each line through the parser.
pub(super) const EXAMPLES: &[(&str, &[(&str, &str)])] = &[
    (
        "serve",
        &[
            ("pabal serve --demo", "Try everything on this machine; data in ./pabal-demo"),
            ("pabal serve --config pabal.toml", "Run the server of a configuration file"),
        ],
    ),
    (
        "send",
        &[
            (
                "pabal send --to-user ann --title 'Prove your day' --body 'Two hours left'",
                "To all devices of a user",
            ),
            (
                "pabal send --to-token TOKEN --title Hello --validate-only",
                "Have FCM check a message, deliver nothing",
            ),
            (
                "pabal send --to-user ann --title Reminder --send-at 2027-01-01T09:00:00+09:00 --ttl 3600",
                "At a time, and not later than an hour after it",
            ),
            (
                "pabal send --to-user ann --title Reward --data kind=reward --idempotency-key reward-17",
                "With data for the app, and safe to repeat",
            ),
            (
                "pabal send --file campaign.ndjson",
                "A file: one notification to a line, as {\"to\": {\"user\": \"ann\"}, \"title\": \"Hello\", \
                 \"idempotency_key\": \"hello-ann\"}",
            ),
            ("pabal send --file campaign.ndjson --from-line 5001", "Go on where it ended before"),
            ("pabal send --file -", "What another program writes"),
        ],
    ),
    (
        "status",
        &[
            ("pabal status", "Whether the server is ready"),
            ("pabal status 0192f0c1-2345-7abc-8def-0123456789ab", "How a notification or a delivery stands"),
            (
                "pabal status 0192f0c1-2345-7abc-8def-0123456789ab --wait --timeout 300",
                "The same once it has ended, or after five minutes",
            ),
            ("pabal status --wait", "Wait for a server that was just started"),
        ],
    ),
    (
        "notifications list",
        &[
            ("pabal notifications list --since 2h", "What was accepted in the last two hours"),
            (
                "pabal notifications list --state scheduled --all --json",
                "All that is still to come, for a script",
            ),
        ],
    ),
    (
        "notifications cancel",
        &[(
            "pabal notifications cancel 0192f0c1-2345-7abc-8def-0123456789ab",
            "Take back what has not been sent yet",
        )],
    ),
    (
        "deliveries list",
        &[
            ("pabal deliveries list --user ann --since 3d", "What went to a user in the last three days"),
            (
                "pabal deliveries list --notification 0192f0c1-2345-7abc-8def-0123456789ab --all",
                "Every delivery of a notification",
            ),
            (
                "pabal deliveries list --state dead --reason unregistered --limit 20 --json",
                "The last that FCM knows no registration for",
            ),
        ],
    ),
    ("stats", &[("pabal stats", "The numbers at a glance"), ("pabal stats --json", "The same for a script")]),
    ("top", &[("pabal top", "Watch deliveries come and go; q leaves")]),
    (
        "dead-letters list",
        &[
            ("pabal dead-letters list --since 1d", "What died in the last day"),
            (
                "pabal dead-letters list --reason rejected --channel fcm --all --json",
                "All that a provider refuses, for a script",
            ),
        ],
    ),
    (
        "dead-letters show",
        &[(
            "pabal dead-letters show 0192f0c1-2345-7abc-8def-0123456789ab",
            "What was tried, and what the provider said",
        )],
    ),
    (
        "dead-letters redrive",
        &[
            (
                "pabal dead-letters redrive --reason attempts_exhausted --since 2h --rate 200 --wait",
                "After an outage: what it killed, 200 a second",
            ),
            ("pabal dead-letters redrive 0192f0c1-2345-7abc-8def-0123456789ab", "One of them"),
            ("pabal dead-letters redrive --all --rate 50", "Everything that is dead"),
        ],
    ),
    (
        "dead-letters redrive status",
        &[
            ("pabal dead-letters redrive status", "All redrives, newest first"),
            ("pabal dead-letters redrive status 0192f0c1-2345-7abc-8def-0123456789ab", "One of them"),
        ],
    ),
    (
        "dead-letters redrive stop",
        &[(
            "pabal dead-letters redrive stop 0192f0c1-2345-7abc-8def-0123456789ab",
            "End it; what it has opened stays open",
        )],
    ),
    (
        "dead-letters purge",
        &[
            (
                "pabal dead-letters purge --reason unregistered --until 30d",
                "What died of lost registrations more than 30 days ago",
            ),
            ("pabal dead-letters purge --all --yes", "Everything that is dead, without a question"),
        ],
    ),
    (
        "devices list",
        &[
            ("pabal devices list --user ann", "All devices of a user"),
            (
                "pabal devices list --state retired --since 1d --all --json",
                "What FCM said is gone since yesterday, for your own lists",
            ),
        ],
    ),
    ("devices get", &[("pabal devices get ann phone", "One device")]),
    (
        "devices put",
        &[(
            "pabal devices put ann phone --platform android --token TOKEN",
            "Register a device, or renew its token",
        )],
    ),
    ("devices delete", &[("pabal devices delete ann phone", "Remove a device")]),
    (
        "devices restore",
        &[
            ("pabal devices restore ann/phone bea/tablet", "Send to these again"),
            (
                "pabal devices restore --state retired --reason SENDER_ID_MISMATCH --since 2h",
                "What a wrong project retired in the last two hours",
            ),
        ],
    ),
    (
        "users erase",
        &[
            ("pabal users erase ann", "Forget a user, after a question"),
            ("pabal users erase ann --yes --json", "For a script"),
        ],
    ),
    (
        "keys create",
        &[
            ("pabal keys create --name billing --scope send --scope read", "A key for a service"),
            (
                "pabal keys create --name ci --scope read --expires 90d --json",
                "One that ends, with its id for a script",
            ),
            ("pabal keys create --app shop --name first --scope admin", "The first key of another app"),
        ],
    ),
    (
        "keys list",
        &[
            ("pabal keys list", "Keys, when they were last used and when they end"),
            ("pabal keys list --app shop --revoked", "Those of another app, revoked ones too"),
        ],
    ),
    (
        "keys revoke",
        &[("pabal keys revoke 0192f0c1-2345-7abc-8def-0123456789ab", "Refuse a key from now on")],
    ),
    ("apps create", &[("pabal apps create shop", "A namespace of its own")]),
    ("apps list", &[("pabal apps list", "All apps of the server")]),
    (
        "config check",
        &[
            (
                "pabal config check --config pabal.toml",
                "What a start would find wrong, and where each project sends",
            ),
            ("pabal config check --config pabal.toml --json", "The same for a script"),
        ],
    ),
    (
        "config reference",
        &[
            ("pabal config reference", "Every key, its default and its limits"),
            ("pabal config reference --toml > pabal.toml", "A configuration file to begin with"),
        ],
    ),
    (
        "migrate",
        &[
            (
                "pabal migrate --config pabal.toml",
                "Migrate the store of a configuration, before the new server starts",
            ),
            ("pabal migrate --store sqlite://pabal.db --json", "By its URL, for a script"),
        ],
    ),
    (
        "backup",
        &[
            (
                "pabal backup --config pabal.toml backup.db",
                "Copy the store of a configuration; its server may run",
            ),
            (
                "pabal backup --store sqlite:///var/lib/pabal/pabal.db /backup/pabal-2027-01-01.db",
                "By its URL",
            ),
        ],
    ),
    (
        "emulator fcm",
        &[
            (
                "pabal emulator fcm --service-account-out service-account.json",
                "An FCM on 127.0.0.1:9099, and the key file to reach it with",
            ),
            (
                "pabal emulator fcm --faults faults.json --seed 7",
                "One that misbehaves, the same way each time",
            ),
        ],
    ),
    (
        "completions",
        &[
            ("pabal completions bash > ~/.local/share/bash-completion/completions/pabal", "For bash"),
            ("pabal completions fish > ~/.config/fish/completions/pabal.fish", "For fish"),
            ("pabal completions zsh > ~/.zfunc/_pabal", "For zsh, with ~/.zfunc in fpath"),
        ],
    ),
];
