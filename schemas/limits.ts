// A limit on everything, named once with its unit and its reason. No literal limit elsewhere.

const KIB = 1024;
const MIB = 1024 * KIB;
const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;

export const limits = {
	// Doors
	edge_body_bytes_max: 256 * KIB, // a batch of 100 requests with full attributes fits
	body_bytes_max: MIB, // ingestion and control plane: 1,000 events of 1 KB
	model_body_bytes_max: 8 * MIB, // a model and its manifest
	try_model_ms: 10_000, // a model's first run in the edge's runtime, ONNX Runtime's own start included
	shadows_max: 4, // each is one more run a frame in every Shard
	model_bytes_max: 4 * MIB, // what a Shard loads; the sample's champion has half a megabyte
	internal_body_bytes_max: 16 * MIB, // a release with its rule sets; only role service comes here
	header_bytes_max: 8 * KIB,
	json_depth_max: 64, // nesting of any body before it is looked at; far above every schema
	token_chars_max: 8 * KIB,
	tokens_verified_max: 10_000, // known tokens an isolate or process remembers until their exp
	token_leeway_seconds: 5,
	retry_after_seconds: 1,
	quoted_chars_max: 80, // of a caller's own words in a refusal
	list_limit_default: 50,
	list_limit_max: 500,

	// Prices
	prices_batch_max: 100,
	attributes_max: 32,
	attribute_chars_max: 256,
	distance_km_max: 100_000,
	amount_minor_max: 999_999_999_999_999, // below 2^53, so every amount is an exact number in JSON

	// Rule sets
	adjustments_max: 200,
	condition_chars_max: 2000,
	condition_depth_max: 32, // nested operators or parentheses
	condition_list_max: 100, // elements of one literal list
	curve_points_min: 2,
	curve_points_max: 64,
	products_max: 100,
	product_regions_max: 10_000,
	multiplier_max: 1000,
	money_digits_max: 9, // before the point
	seconds_max: 30 * 24 * 3600, // validity and staleness: nothing longer is a price's business

	// Events
	events_batch_max: 1000,
	metadata_depth_max: 8,
	metadata_bytes_max: 16_384,
	id_chars_max: 128,
	name_chars_max: 200,
	drivers_max: 1_000_000,
	future_ms_max: 5 * MINUTE_MS, // a timestamp further ahead of its ingestion is a wrong clock
	stamp_to_append_ms_max: 30 * SECOND_MS, // ingestion answers 503 rather than append later; finals rely on it
	door_ids_max: 5_000_000, // event ids that the door recognises, the oldest forgotten first
	ingest_waiting_max: 20_000, // events that wait for the log before the door says 503
	log_retry_ms: MINUTE_MS, // so long after the log refused last the door calls itself ready again: without traffic nobody would find out
	city_events_max: 1000, // remembered for one region
	time_zones_cached_max: 1000, // zones whose offsets a process remembers; IANA has about 600 names
	offset_days_cached: 64, // UTC days of offsets a zone; the usuals look 36 days back and an hour ahead
	final_back_ms_max: 5 * MINUTE_MS, // how far beyond the lateness a window can still be asked for a minute's final
	log_record_bytes_max: MIB,

	// Features and frames
	frame_regions_max: 200,
	frame_bytes_max: 200 * KIB,
	confirm_ms: 10 * SECOND_MS, // every region of a partition is pushed whole at least this often
	usual_week_ms: 60 * MINUTE_MS, // the usuals by hour of week go to the Shard no more often than this
	checkpoint_ms: 5 * SECOND_MS, // what a kill makes the worker fold again
	frame_envelope_bytes_max: 256, // of a frame beside its regions
	frame_push_ms: 5 * SECOND_MS, // one push; the edge answers for its slowest Shard after 4 s

	// Log and feature worker
	log_cache_kib: 64 * KIB, // of SQLite: the last minutes of all partitions are read from memory
	log_busy_ms: 5 * SECOND_MS, // another connection to the file (a look from outside) may hold it so long
	log_wal_pages: 4000, // of 4 KiB: the write-ahead file is moved into the log at 16 MB
	log_read_records_min: 16, // rows fetched at once: few at first and where records are large, so that a reading's bytes bound memory
	log_read_records_max: 1000,
	log_expire_records_max: 5000, // deleted in one transaction, so that appends between them wait for milliseconds
	log_expire_ms: 60 * MINUTE_MS, // how often old records are looked for; retention is days
	fold_read_records_max: 2000, // of a topic at once; two readings of each are in memory
	fold_read_bytes_max: 4 * MIB,
	fold_appends_max: 2000, // records for the log of one look: after hours of silence finals come in portions, and others get their turn
	fold_retry_ms: 200, // after the log, the catalogue, the store or the edge was away
	fold_sleep_ms: SECOND_MS, // the loop sleeps at most so long, so that finals come in time
	fold_step_ms: 30 * SECOND_MS, // a step of a replay that not every Shard acknowledges by then fails
	fold_days_kept: 31, // day blocks in the store; the usuals need 29
	id_bucket_ms: 5 * MINUTE_MS, // event ids are forgotten by buckets of event time
	id_slots_min: 1024, // of a bucket's hash table, 8 bytes each
	sink_read_records_max: 1000, // decisions and snapshots in one transaction of the store
	sink_read_bytes_max: 8 * MIB,
	sink_retry_ms: SECOND_MS, // after the store was away; and without news
	sink_lag_ms: 5 * SECOND_MS, // between two looks at how much waits in the log
	sink_behind_ms: 30 * SECOND_MS, // a lag of a sink that is told
	sink_drain_ms: 2 * SECOND_MS, // what a stop waits for the store; the rest waits in the log
	isolates_max: 1000, // whose sequence numbers are watched for gaps; the oldest is forgotten
	isolate_missing_max: 1000, // numbers of one isolate that may still come; more stay counted as lost
	catalogue_read_ms: SECOND_MS, // a changed entry is known within two
	behind_ms: 10 * SECOND_MS, // a partition that stands further before the clock is listed by readyz
	cause_chars_max: 200, // of a failure's words
	start_wait_ms: MINUTE_MS, // a process that starts beside its servers waits so long for them
	start_retry_ms: SECOND_MS,

	// Kafka
	kafka_record_bytes_max: 4 * MIB, // what a topic takes; the feature worker sets aside what is larger than log_record_bytes_max
	kafka_send_bytes_max: 900 * KIB, // one request's records of a partition: brokers refuse a batch over 1 MiB by default
	kafka_fetch_bytes_max: 128 * KIB, // of a partition at once
	kafka_buffer_records_max: 2000, // read ahead of a partition's reader, and one fetch beyond it
	kafka_buffer_bytes_max: 8 * MIB,
	kafka_room_wait_ms: 250, // a full buffer holds the client up so long for its reader; then the partition is paused
	kafka_poll_ms: 250, // the broker answers an empty fetch after this time; a seek or a pause takes hold with the next one
	kafka_read_wait_ms: 3 * SECOND_MS, // a reader waits this long for records that the broker says it has
	kafka_session_ms: 6 * SECOND_MS, // a member that is silent so long has lost its partitions; the least that brokers allow
	kafka_heartbeat_ms: SECOND_MS,
	kafka_leaders_wait_ms: 10 * SECOND_MS, // a start waits so long for leaders of topics that were just made
	kafka_ends_tries: 5,
	kafka_ends_retry_ms: 100,
	kafka_rebuild_ms: 500, // a consumer that ended for good is built anew after this time

	// Edge
	soft_ms: 250, // a copy younger than this is served as it is
	soft_busy_ms: 1000, // the same, told by a Shard that is asked too often
	soft_jitter_share: 0.2, // the soft limit of an isolate is off by so much either way, so that isolates do not ask in step
	hard_ms: 700, // an older copy waits for the Shard
	hard_busy_ms: 2000, // the same, told by a Shard that is asked too often
	refresh_lease_ms: 1000, // a refresh begun longer ago than this counts as dead
	refresh_wait_ms: 50, // what a request with an old copy waits for the Shard
	refresh_poll_ms: 4, // how often a request looks whether the question that another asks was answered
	first_wait_ms: 500, // what a request without a copy waits for the Shard
	shard_failed_ms: 100, // after a Shard failed twice in a row nobody of the isolate asks it for so long
	shard_call_ms: 4 * SECOND_MS, // what one Shard may take for one call of /internal: a hung one must not hold the others' answers past their callers' 5 s
	shard_regions_max: 10_000, // with entry, week, features and snapshot a region takes an object about 8 KB of its 128 MB
	question_regions_max: 256, // of one question to a Shard: the answer stays below 1 MB, and the others come next
	keys_ask_ms: SECOND_MS, // a token under an unknown key makes an isolate ask a Shard no more often than this
	token_chars_remembered_max: 2 * KIB, // a longer token is verified each time: 10,000 remembered ones stay below 20 MB
	rate_limit_window_ms: 10 * SECOND_MS, // RATE_LIMIT_PRICES_PER_10S
	rate_limit_subjects_max: 10_000, // counted in one window; beyond it the first ones are forgotten
	kv_kept_ms: 10 * SECOND_MS, // what was read from KV is used so long: KV shows changes after a minute, and a catalogue is large to parse
	kv_failed_ms: SECOND_MS, // what could not be read from KV is not asked for again so soon
	kv_model_ms: 10 * SECOND_MS, // one part of a model from KV; a rule set's body has first_wait_ms
	model_error_chars_max: 1000, // of what ONNX Runtime says about a model that does not run
	models_retry_ms: 30 * SECOND_MS, // a model that could not be opened is tried again after this time
	stored_regions_max: 250, // in one stored value: with its usual week a region has up to 4 KB, and a value holds 2 MB
	release_bodies_chars_max: 16 * MIB, // all rule sets of a release; an object and an isolate have 128 MB
	refresh_regions_ms: 60 * SECOND_MS, // regions priced within this time are asked for again
	shard_busy_per_second: 500, // refreshes a second after which a Shard asks for patience
	copies_max: 20_000, // regions that an isolate keeps copies of
	rule_sets_compiled_max: 200, // compiled rule sets that an isolate keeps, the least recently used forgotten first
	rule_sets_compiled_chars_max: 8 * MIB, // of their documents; compiled, a character takes about four bytes
	features_behind_ms: 30 * SECOND_MS, // a Shard that took no frame for so long (it is confirmed every 10 s) is listed by readyz
	features_store_ms: 30 * SECOND_MS, // the Shard stores its features this often
	usual_refresh_ms: MINUTE_MS, // a baseline's usual is computed again when older than this
	outboxes: 8,
	outbox_batch_ms: 50, // an open batch of decisions leaves within this time
	outbox_takeover_ms: SECOND_MS, // an older open batch is taken over by the next request
	outbox_batch_decisions_max: 500,
	outbox_batch_chars_max: 600_000, // a row of an object's storage holds 2 MB, and a character may be three bytes
	outbox_unsent_chars_max: 32 * MIB, // an isolate keeps batches of so much, about 25,000 decisions, while no Outbox takes them; then drops the oldest and counts them
	outbox_appends_max: 8, // batches handed over at once when many wait
	outbox_append_ms: 5 * SECOND_MS, // a longer append counts as failed; if it was applied after all, the stores keep each decision once
	outbox_failed_ms: 500, // after a failure an isolate hands nothing over for so long
	outbox_bytes_max: 1024 * MIB, // of one Outbox's storage, which could hold 10 GB: all eight keep 20 minutes of 5,000 decisions a second, half a day of 150
	outbox_refused_max: 50, // batches that ingestion refused for good, kept for a human, up to 2 MB each; then the oldest is dropped and counted
	outbox_reason_chars_max: 300, // of ingestion's words, and of its answer no more is read than
	outbox_answer_bytes_max: 64 * KIB,
	outbox_send_bytes_max: 4 * MIB, // one request to ingestion
	outbox_send_batches_max: 1024, // in one request
	outbox_send_ms: 10 * SECOND_MS, // one request to ingestion
	outbox_retry_ms_max: 30 * SECOND_MS,
	outbox_alarm_ms: 100,

	// Control plane
	release_push_ms: 2 * SECOND_MS,
	reconcile_ms: 10 * SECOND_MS,
	catalogue_write_ms: 10 * SECOND_MS,
	regions_max: 100_000,
	profile_hours: 168,
	neighbours_max: 32,

	// Node doors (control plane, ingestion)
	door_connections_max: 12_000, // 10,000 idle sockets must not lock the others out
	door_headers_ms: 5 * SECOND_MS, // a socket that has not sent its headers by then is closed
	door_request_ms: 30 * SECOND_MS, // the same for the whole request
	door_keep_alive_ms: 65 * SECOND_MS, // longer than the usual minute of load balancers, so that they close first
	door_close_ms: 5 * SECOND_MS, // requests in flight at a stop may take this long

	// All in one process
	edge_watch_ms: SECOND_MS, // how often the edge is asked whether it lives
	edge_lost_ms: 30 * SECOND_MS, // an edge that has not answered for so long ends the product; a restart takes 2 s, 10 on a busy machine

	// Tokens and keys
	token_ttl_seconds_default: 24 * 3600,
	token_ttl_seconds_max: 366 * 24 * 3600,
	service_token_seconds: 300, // renewed at half of it
	jwks_fetch_ms: 5 * SECOND_MS,
	jwks_refresh_ms: 5 * MINUTE_MS, // an external issuer's new key is known within this time
	jwks_bytes_max: 256 * KIB,

	// Control plane, towards the edge and the database
	edge_call_ms: 2 * SECOND_MS, // one call of the edge's /internal door
	release_push_late_ms: 8 * SECOND_MS, // a push goes on in the background this long after its POST was answered
	entries_push_max: 500, // entries in one call; with profiles about 1 MB
	replay_page: 500, // decisions read at once by a replay
	differences_max: 100, // shown of one decision or diff
	cursor_chars_max: 300,
	regions_named_max: 20, // in one refusal
	regions_insert: 200, // in one statement
	manifest_bytes_max: 64 * KIB, // the sample's has 6; lists show up to list_limit_max of them
	decisions_keep_ms: 30 * 24 * 60 * MINUTE_MS, // by the deployment clock; older ones are ClickHouse's business
	snapshot_unused_ms: 2 * 24 * 60 * MINUTE_MS, // a snapshot younger than this stays, since decisions on their way may refer to it
	retention_ms: 10 * MINUTE_MS, // how often old decisions and unused snapshots are deleted
	decision_partitions_max: 402, // of a UTC day each, and two more: a replay of a year and a month; a lookup by id alone asks each, and locks it and its indexes
	decision_day_lock_ms: SECOND_MS, // what dropping an old day waits for those who read the table; whoever comes meanwhile waits behind it
	retention_step: 500, // rows in one statement
	retention_steps_max: 200, // of each kind at a time
	database_connections_max: 10, // of one process, to a PostgreSQL server
	database_connect_ms: 2 * SECOND_MS,
	database_idle_ms: 30 * SECOND_MS,
	database_statement_ms: 10 * SECOND_MS,
	database_idle_transaction_ms: 30 * SECOND_MS, // a process that froze inside a transaction loses its locks after this time

	// The history in ClickHouse
	history_keep_days: 730, // two years, from when a row came
	history_gather_ms: SECOND_MS, // a round with less than a full one waits so long for the next: ClickHouse wants few, large inserts
	history_gather_records: 20_000, // written at once; with their snapshots decisions take about 60 MB then
	history_insert_ms: 20 * SECOND_MS, // one insert; a longer one counts as failed and is sent again
	history_connections_max: 10, // of one process
	history_reason_chars_max: 1000, // of why a record was set aside
	history_query_seconds_max: 10,
	history_query_bytes_max: 2048 * MIB, // of the server's memory, for one query
	history_rows_max: 20_000, // of one answer
	history_range_ms_max: 366 * 24 * 60 * MINUTE_MS, // of one question
	history_accuracy_range_ms_max: 31 * 24 * 60 * MINUTE_MS, // it reads every minute of the regions that were forecast
	history_steps_max: 1500, // of a question for a course over time

	// The offline store
	offline_part_rows: 100_000, // finals of one file, about 40 MB in memory; an hour of 10,000 regions over 8 partitions has 75,000
	offline_group_rows: 5000, // of one row group: written in 50 ms at most, and then others get their turn
	offline_partial_ms: 10 * MINUTE_MS, // what of an hour is there is written this often
	offline_ahead_ms: 5 * MINUTE_MS, // a final further ahead of the wall clock is broken: believed, it would make repeats of all that follow
	offline_call_ms: 30 * SECOND_MS, // one call of the bucket
	training_memory_mib: 1024, // of the join; what does not fit goes to a temporary folder
	training_named_max: 3, // values shown of those that cannot be read

	// Pricing
	multiplier_decimals_max: 4, // multipliers are integers of 1/10000
	seconds_decimals_max: 3, // ages are whole milliseconds
	validity_seconds_default: 120,
	fresh_seconds_default: 120,
	stale_seconds_default: 600,
	condition_nodes_max: 1000, // names, values and operators of one condition: a chain of them is as deep as it is long, and no runtime's stack may decide
	expected_bookings_max: 1_000_000_000, // a forecast beyond this is a defect of its model: clamped, reason not_finite

	// Redis
	redis_ms: 50, // one call, one attempt; whatever it asked for is not known then
	redis_failures_max: 5, // in a row; then the breaker opens
	redis_open_ms: 5 * SECOND_MS, // an open breaker lets one call through after this time, and again each time that one fails
	redis_value_chars_max: 8 * KIB, // a longer value is none of ours; a region's usual week is the longest of them
	redis_ids_max: 1000, // event ids in one question and in one pipeline; of a larger group of requests the rest is left to the fold
	redis_ids_seconds: 24 * 3600, // an event's id is known to the other doors so long
	mirror_flush_ms: SECOND_MS, // a region's features go to the mirror no more often than this
	mirror_flush_regions_max: 200, // in one pipeline, about 100 KB
	mirror_seconds: 120, // an entry's life: a whole push renews it every 10 s while a worker lives
	mirror_week_seconds: 8 * 24 * 3600, // a region's usual week is written when it changes and with each start of a worker
	mirror_ask_regions_max: 50, // asked for by a Shard at once, features and weeks: an answer of 100 KB
	mirror_tries_max: 3, // of one question: the first one has to connect, which may take longer than a call may
	mirror_retry_ms: SECOND_MS,
	price_cache_ms: MINUTE_MS, // from the decision on, by the deployment clock
	price_cache_entries_max: 100, // in one call of the script, about 60 KB
	price_cache_ahead_ms: 5 * SECOND_MS, // clocks differ by so much: a cached price from further ahead is not believed
} as const;
