CREATE TABLE "deployment" (
	"name" text PRIMARY KEY NOT NULL,
	"value" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "feature_ids" (
	"part" integer NOT NULL,
	"bucket" integer NOT NULL,
	"chunk" integer NOT NULL,
	"hashes" "bytea" NOT NULL,
	CONSTRAINT "feature_ids_part_bucket_chunk_pk" PRIMARY KEY("part","bucket","chunk")
);
--> statement-breakpoint
CREATE TABLE "feature_owner" (
	"part" integer PRIMARY KEY NOT NULL,
	"epoch" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "feature_progress" (
	"part" integer PRIMARY KEY NOT NULL,
	"body" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "feature_region" (
	"part" integer NOT NULL,
	"region_id" text NOT NULL,
	"recent" "bytea" NOT NULL,
	"active" "bytea" NOT NULL,
	CONSTRAINT "feature_region_part_region_id_pk" PRIMARY KEY("part","region_id")
);
--> statement-breakpoint
CREATE TABLE "feature_region_day" (
	"part" integer NOT NULL,
	"region_id" text NOT NULL,
	"day" integer NOT NULL,
	"counts" "bytea" NOT NULL,
	CONSTRAINT "feature_region_day_part_region_id_day_pk" PRIMARY KEY("part","region_id","day")
);
