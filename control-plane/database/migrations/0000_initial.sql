CREATE SEQUENCE "public"."catalogue_change" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1;--> statement-breakpoint
CREATE TABLE "client_keys" (
	"version" integer PRIMARY KEY NOT NULL,
	"issuer" text NOT NULL,
	"audience" text NOT NULL,
	"jwks" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "config_change" (
	"number" bigserial PRIMARY KEY NOT NULL,
	"at" bigint NOT NULL,
	"who" text NOT NULL,
	"what" text NOT NULL,
	"from" text NOT NULL,
	"to" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "decision" (
	"decision_id" text PRIMARY KEY NOT NULL,
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
	"inputs" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "model" (
	"number" bigserial NOT NULL,
	"name" text NOT NULL,
	"version" integer NOT NULL,
	"digest" text NOT NULL,
	"manifest" text NOT NULL,
	"manifest_digest" text NOT NULL,
	"bytes" "bytea" NOT NULL,
	"created_at" bigint NOT NULL,
	"created_by" text NOT NULL,
	CONSTRAINT "model_name_version_pk" PRIMARY KEY("name","version")
);
--> statement-breakpoint
CREATE TABLE "region" (
	"number" bigserial NOT NULL,
	"region_id" text PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"time_zone" text NOT NULL,
	"rule_set" text NOT NULL,
	"location_hint" text,
	"neighbours" text NOT NULL,
	"profile" text,
	"minutes_per_booking" double precision NOT NULL,
	"holidays" text,
	"holiday_dates" text NOT NULL,
	"frozen" boolean NOT NULL,
	"version" integer NOT NULL,
	"change" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "release" (
	"release" integer PRIMARY KEY NOT NULL,
	"content" text NOT NULL,
	"jws" text NOT NULL,
	"created_at" bigint NOT NULL,
	"created_by" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "release_acknowledgement" (
	"release" integer NOT NULL,
	"shard" integer NOT NULL,
	"at" bigint NOT NULL,
	CONSTRAINT "release_acknowledgement_release_shard_pk" PRIMARY KEY("release","shard")
);
--> statement-breakpoint
CREATE TABLE "rule_set" (
	"version" integer PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"document" text NOT NULL,
	"digest" text NOT NULL,
	"created_at" bigint NOT NULL,
	"created_by" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "snapshot" (
	"snapshot_id" text PRIMARY KEY NOT NULL,
	"body" text NOT NULL,
	"created_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE INDEX "decision_region" ON "decision" USING btree ("region_id","decided_at","decision_id");--> statement-breakpoint
CREATE INDEX "decision_decided_at" ON "decision" USING btree ("decided_at","decision_id");--> statement-breakpoint
CREATE INDEX "model_number" ON "model" USING btree ("number");--> statement-breakpoint
CREATE INDEX "region_number" ON "region" USING btree ("number");--> statement-breakpoint
CREATE INDEX "region_change" ON "region" USING btree ("change");--> statement-breakpoint
CREATE INDEX "region_rule_set" ON "region" USING btree ("rule_set");