-- Decisions, parted by the UTC day of decided_at, so that an old day is dropped and not deleted row by row. Written by hand: drizzle-kit knows no partitions.
ALTER TABLE "decision" RENAME TO "decision_whole";--> statement-breakpoint
DROP INDEX "decision_region", "decision_decided_at", "decision_snapshot";--> statement-breakpoint
CREATE TABLE "decision" (
	"decision_id" text NOT NULL,
	"region_id" text NOT NULL,
	"decided_at" bigint NOT NULL,
	"status" text NOT NULL,
	"release" integer NOT NULL,
	"rule_set" integer NOT NULL,
	"user_hash" text,
	"snapshot_id" text NOT NULL,
	"isolate" text NOT NULL,
	"sequence" integer NOT NULL,
	"answer" text NOT NULL,
	"inputs" text NOT NULL,
	CONSTRAINT "decision_decision_id_decided_at_pk" PRIMARY KEY("decision_id","decided_at")
) PARTITION BY RANGE ("decided_at");
--> statement-breakpoint
CREATE INDEX "decision_region" ON "decision" USING btree ("region_id","decided_at","decision_id");--> statement-breakpoint
CREATE INDEX "decision_decided_at" ON "decision" USING btree ("decided_at","decision_id");--> statement-breakpoint
CREATE INDEX "decision_snapshot" ON "decision" USING btree ("snapshot_id");--> statement-breakpoint
-- What no clock of a deployment says. Ranges of their own and no DEFAULT partition: the rows of one would stand in the way of every day that is made later.
CREATE TABLE "decision_before_2000" PARTITION OF "decision" FOR VALUES FROM (MINVALUE) TO (946684800000);--> statement-breakpoint
CREATE TABLE "decision_from_2100" PARTITION OF "decision" FOR VALUES FROM (4102444800000) TO (MAXVALUE);--> statement-breakpoint
-- Makes the partition of an instant's day where it is missing, unless there are partitions_max already. One caller at a time; the lock is held to the end of
-- the transaction. Attached, not created in place: that would wait for every reader of the table, and hold up those behind it.
CREATE FUNCTION "make_decision_day"(instant bigint, partitions_max integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	day_start bigint := instant - mod(instant, 86400000);
	day_text text;
	day_table text;
BEGIN
	IF instant < 946684800000 OR instant >= 4102444800000 THEN
		RETURN;
	END IF;
	day_text := to_char(to_timestamp(day_start / 1000) AT TIME ZONE 'UTC', 'YYYY_MM_DD');
	day_table := 'decision_' || day_text;
	PERFORM pg_advisory_xact_lock(7306);
	IF to_regclass(day_table) IS NOT NULL THEN
		RETURN;
	END IF;
	IF (SELECT count(*) FROM pg_inherits WHERE inhparent = 'decision'::regclass) >= partitions_max THEN
		RAISE EXCEPTION 'Cannot keep decisions of % as well: there are % partitions already, and not more are wanted', replace(day_text, '_', '-'), partitions_max
			USING ERRCODE = 'program_limit_exceeded';
	END IF;
	EXECUTE format('CREATE TABLE %I (LIKE "decision" INCLUDING ALL)', day_table);
	EXECUTE format('ALTER TABLE "decision" ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', day_table, day_start, day_start + 86400000);
END
$$;--> statement-breakpoint
SELECT "make_decision_day"(day * 86400000, 2147483647) FROM (SELECT DISTINCT "decided_at" / 86400000 AS day FROM "decision_whole") AS days;--> statement-breakpoint
INSERT INTO "decision" (decision_id, region_id, decided_at, status, release, rule_set, user_hash, snapshot_id, isolate, sequence, answer, inputs)
	SELECT decision_id, region_id, decided_at, status, release, rule_set, user_hash, snapshot_id, isolate, sequence, answer, inputs FROM "decision_whole";--> statement-breakpoint
DROP TABLE "decision_whole";
