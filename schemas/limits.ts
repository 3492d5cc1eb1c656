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
	checkpoint_ms: 5 * SECOND_MS,

	// Edge
	soft_ms: 250, // a copy younger than this is served as it is
	soft_busy_ms: 1000, // the same, told by a Shard that is asked too often
	hard_ms: 700, // an older copy waits for the Shard
	refresh_lease_ms: 1000, // a refresh begun longer ago than this counts as dead
	refresh_wait_ms: 50, // what a request with an old copy waits for the Shard
	first_wait_ms: 500, // what a request without a copy waits for the Shard
	refresh_regions_ms: 60 * SECOND_MS, // regions priced within this time are asked for again
	shard_busy_per_second: 500, // refreshes a second after which a Shard asks for patience
	copies_max: 20_000, // regions that an isolate keeps copies of
	rule_sets_compiled_max: 200, // compiled rule sets that an isolate keeps
	features_store_ms: 30 * SECOND_MS, // the Shard stores its features this often
	usual_refresh_ms: MINUTE_MS, // a baseline's usual is computed again when older than this
	outboxes: 8,
	outbox_batch_ms: 50, // an open batch of decisions leaves within this time
	outbox_takeover_ms: SECOND_MS, // an older open batch is taken over by the next request
	outbox_batch_decisions_max: 500,
	outbox_unsent_max: 100_000, // decisions an isolate keeps while no Outbox answers; then the oldest batch is dropped and counted
	outbox_send_bytes_max: 4 * MIB, // one request to ingestion
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

	// Pricing
	multiplier_decimals_max: 4, // multipliers are integers of 1/10000
	seconds_decimals_max: 3, // ages are whole milliseconds
	validity_seconds_default: 120,
	fresh_seconds_default: 120,
	stale_seconds_default: 600,
	condition_nodes_max: 1000, // names, values and operators of one condition: a chain of them is as deep as it is long, and no runtime's stack may decide
	expected_bookings_max: 1_000_000_000, // a forecast beyond this is a defect of its model: clamped, reason not_finite
} as const;
