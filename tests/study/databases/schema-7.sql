BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('v3.2.0.a');
CREATE TABLE landscape_cell (
	trial_id INTEGER NOT NULL, 
	optuna_study_id INTEGER NOT NULL, 
	chunk_id INTEGER NOT NULL, 
	alpha FLOAT NOT NULL, 
	lambda FLOAT NOT NULL, 
	train_loss FLOAT, 
	test_loss FLOAT, 
	diverged_epoch INTEGER, 
	seal VARCHAR(16), 
	PRIMARY KEY (trial_id), 
	UNIQUE (optuna_study_id, alpha, lambda), 
	FOREIGN KEY(chunk_id) REFERENCES landscape_chunk (chunk_id)
);
INSERT INTO "landscape_cell" VALUES(1,1,1,0.05,0.0,0.0,0.0,0,'53a831fc69e99b02');
INSERT INTO "landscape_cell" VALUES(2,1,1,0.05,0.001,1.0,1.0,0,'961a5be26369c743');
INSERT INTO "landscape_cell" VALUES(3,1,2,0.05,0.01,NULL,NULL,NULL,NULL);
CREATE TABLE landscape_chunk (
	chunk_id INTEGER NOT NULL, 
	study_id INTEGER NOT NULL, 
	panel VARCHAR(255) NOT NULL, 
	seed BIGINT NOT NULL, 
	state VARCHAR(8) NOT NULL, 
	owner VARCHAR(64), 
	expires FLOAT NOT NULL, 
	host VARCHAR(255), 
	machine VARCHAR(255), 
	pid INTEGER, 
	born FLOAT, 
	device VARCHAR(64), 
	run_id INTEGER, 
	beaten FLOAT, 
	attempts INTEGER NOT NULL, 
	falls INTEGER DEFAULT '0', 
	furthest FLOAT, 
	reason VARCHAR, 
	seconds FLOAT, 
	PRIMARY KEY (chunk_id), 
	FOREIGN KEY(study_id) REFERENCES landscape_study (study_id), 
	FOREIGN KEY(run_id) REFERENCES landscape_run (run_id)
);
INSERT INTO "landscape_chunk" VALUES(1,1,'sgd',0,'done',NULL,0.0,'laptop','laptop boot',19864,43633.44,'cpu',1,1.79593321895999455447e+09,1,0,NULL,NULL,1.5);
INSERT INTO "landscape_chunk" VALUES(2,1,'sgd',0,'open',NULL,0.0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,NULL,NULL,NULL);
CREATE TABLE landscape_curve (
	trial_id INTEGER NOT NULL, 
	metric VARCHAR(32) NOT NULL, 
	n INTEGER NOT NULL, 
	data BLOB NOT NULL, 
	seal VARCHAR(16), 
	PRIMARY KEY (trial_id, metric)
);
INSERT INTO "landscape_curve" VALUES(1,'train_loss',3,X'000000400000803F00000000','a95b18b159a11e17');
INSERT INTO "landscape_curve" VALUES(1,'test_loss',3,X'000000400000803F00000000','0dd089839c4a6a4d');
INSERT INTO "landscape_curve" VALUES(1,'test_error',3,X'000000400000803F00000000','df3f72f02c19e74c');
INSERT INTO "landscape_curve" VALUES(1,'mechanism/weight_norm',3,X'66660640CDCC8C3FCDCCCC3D','686d93ed6e949d31');
INSERT INTO "landscape_curve" VALUES(1,'mechanism/gradient_norm',3,X'CDCC0C409A99993FCDCC4C3E','0e6adda6686a6719');
INSERT INTO "landscape_curve" VALUES(1,'mechanism/update_norm',3,X'333313406666A63F9A99993E','5cf2aeb4181d6580');
INSERT INTO "landscape_curve" VALUES(1,'mechanism/clipped_share',3,X'9A9919403333B33FCDCCCC3E','b925cebfaa707e51');
INSERT INTO "landscape_curve" VALUES(2,'train_loss',3,X'00004040000000400000803F','56f33e07f8fd3034');
INSERT INTO "landscape_curve" VALUES(2,'test_loss',3,X'00004040000000400000803F','90298388a1424ad4');
INSERT INTO "landscape_curve" VALUES(2,'test_error',3,X'00004040000000400000803F','d4c8aa552118b945');
INSERT INTO "landscape_curve" VALUES(2,'mechanism/weight_norm',3,X'6666464066660640CDCC8C3F','839b0b1a2de373f6');
INSERT INTO "landscape_curve" VALUES(2,'mechanism/gradient_norm',3,X'CDCC4C40CDCC0C409A99993F','0927a3c4c1d4a956');
INSERT INTO "landscape_curve" VALUES(2,'mechanism/update_norm',3,X'33335340333313406666A63F','07f248252c4bff07');
INSERT INTO "landscape_curve" VALUES(2,'mechanism/clipped_share',3,X'9A9959409A9919403333B33F','dbb60a0f9cffc629');
CREATE TABLE landscape_design (
	study_id INTEGER NOT NULL, 
	panel VARCHAR(255) NOT NULL, 
	asked INTEGER NOT NULL, 
	settled VARCHAR, 
	PRIMARY KEY (study_id, panel), 
	FOREIGN KEY(study_id) REFERENCES landscape_study (study_id)
);
CREATE TABLE landscape_run (
	run_id INTEGER NOT NULL, 
	study_id INTEGER NOT NULL, 
	started FLOAT NOT NULL, 
	ended FLOAT, 
	expires FLOAT, 
	provenance TEXT NOT NULL, 
	PRIMARY KEY (run_id), 
	FOREIGN KEY(study_id) REFERENCES landscape_study (study_id)
);
INSERT INTO "landscape_run" VALUES(1,1,1.7959332189239859581e+09,1.79593321901901674265e+09,1.79593333892398595804e+09,'{"python": "3.11.7", "versions": {"torch": "2.13.0+cpu", "optuna": "5.0.0", "numpy": "2.5.0"}, "host": "laptop", "git": null, "argv": ["landscape", "run"], "devices": ["cpu"], "engine": "vmap"}');
CREATE TABLE landscape_schema (
	version INTEGER NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "landscape_schema" VALUES(7);
CREATE TABLE landscape_study (
	study_id INTEGER NOT NULL, 
	name VARCHAR(255) NOT NULL, 
	spec TEXT NOT NULL, 
	fingerprint VARCHAR(64) NOT NULL, 
	source VARCHAR(64), 
	created FLOAT NOT NULL, 
	seal VARCHAR(16), 
	PRIMARY KEY (study_id), 
	UNIQUE (name)
);
INSERT INTO "landscape_study" VALUES(1,'small','name = "small"
task = "examples.spirals:spirals"
seeds = [
    0,
]
batch_size = 20

[options]
momentum = 0.9
beta1 = 0.9
beta2 = 0.999
eps = 1e-08
decay_1d = true
precision = "float32"
bf16 = false
tf32 = false
channels_last = false

[figure]
kind = "heatmaps"
metrics = [
    "test_error",
]
relative = false
over = "lambda"

[[panel]]
name = "sgd"
pair = "sgd"
epochs = 3
normalized = false

[panel.schedule]
kind = "cosine"

[panel.alpha]
base = 1.0
values = [
    0.05,
]

[panel.lambda]
base = 1.0
values = [
    0.0,
    0.001,
    0.01,
]
','abc',NULL,1.79593321888898324969e+09,'25262fc4b4c1d62c');
CREATE TABLE landscape_witness (
	witness_id INTEGER NOT NULL, 
	study_id INTEGER NOT NULL, 
	written FLOAT NOT NULL, 
	panel VARCHAR(255) NOT NULL, 
	seed BIGINT NOT NULL, 
	alpha FLOAT NOT NULL, 
	lambda FLOAT NOT NULL, 
	epochs INTEGER NOT NULL, 
	recorded FLOAT, 
	found FLOAT, 
	rounding FLOAT, 
	agrees BOOLEAN NOT NULL, 
	why VARCHAR NOT NULL, 
	seal VARCHAR(16), 
	PRIMARY KEY (witness_id), 
	FOREIGN KEY(study_id) REFERENCES landscape_study (study_id)
);
INSERT INTO "landscape_witness" VALUES(1,1,1.7959332190139875412e+09,'sgd',0,0.05,0.001,3,1.0,1.25,0.5,1,'','d1885d197064e9a3');
CREATE TABLE studies (
	study_id INTEGER NOT NULL, 
	study_name VARCHAR(512) NOT NULL, 
	PRIMARY KEY (study_id)
);
INSERT INTO "studies" VALUES(1,'small/sgd/seed0');
CREATE TABLE study_directions (
	study_direction_id INTEGER NOT NULL, 
	direction VARCHAR(8) NOT NULL, 
	study_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	PRIMARY KEY (study_direction_id), 
	UNIQUE (study_id, objective), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_directions" VALUES(1,'MINIMIZE',1,0);
CREATE TABLE study_system_attributes (
	study_system_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_system_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE TABLE study_user_attributes (
	study_user_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_user_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_user_attributes" VALUES(1,1,'task','"examples.spirals:spirals"');
INSERT INTO "study_user_attributes" VALUES(2,1,'panel','"sgd"');
INSERT INTO "study_user_attributes" VALUES(3,1,'seed','0');
INSERT INTO "study_user_attributes" VALUES(4,1,'pair','"sgd"');
INSERT INTO "study_user_attributes" VALUES(5,1,'schedule','{"kind": "cosine"}');
INSERT INTO "study_user_attributes" VALUES(6,1,'epochs','3');
INSERT INTO "study_user_attributes" VALUES(7,1,'batch_size','null');
INSERT INTO "study_user_attributes" VALUES(8,1,'options','null');
INSERT INTO "study_user_attributes" VALUES(9,1,'normalized','false');
CREATE TABLE trial_heartbeats (
	trial_heartbeat_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	heartbeat DATETIME NOT NULL, 
	PRIMARY KEY (trial_heartbeat_id), 
	UNIQUE (trial_id), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_intermediate_values (
	trial_intermediate_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	intermediate_value FLOAT, 
	intermediate_value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_intermediate_value_id), 
	UNIQUE (trial_id, step), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_intermediate_values" VALUES(1,1,1,2.0,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(2,1,2,1.0,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(3,1,3,0.0,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(4,2,1,3.0,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(5,2,2,2.0,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(6,2,3,1.0,'FINITE');
CREATE TABLE trial_params (
	param_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	param_name VARCHAR(512), 
	param_value FLOAT, 
	distribution_json TEXT, 
	PRIMARY KEY (param_id), 
	UNIQUE (trial_id, param_name), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_params" VALUES(1,1,'alpha',0.05,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.05, "high": 0.05, "log": true}}');
INSERT INTO "trial_params" VALUES(2,1,'lambda',0.0,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 0.01, "log": false}}');
INSERT INTO "trial_params" VALUES(3,2,'alpha',0.05,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.05, "high": 0.05, "log": true}}');
INSERT INTO "trial_params" VALUES(4,2,'lambda',0.001,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 0.01, "log": false}}');
INSERT INTO "trial_params" VALUES(5,3,'alpha',0.05,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.05, "high": 0.05, "log": true}}');
INSERT INTO "trial_params" VALUES(6,3,'lambda',0.01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 0.01, "log": false}}');
CREATE TABLE trial_system_attributes (
	trial_system_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_system_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_user_attributes (
	trial_user_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_user_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_user_attributes" VALUES(1,1,'train_loss','0.0');
INSERT INTO "trial_user_attributes" VALUES(2,1,'test_loss','0.0');
INSERT INTO "trial_user_attributes" VALUES(3,1,'diverged','false');
INSERT INTO "trial_user_attributes" VALUES(4,1,'diverged_epoch','null');
INSERT INTO "trial_user_attributes" VALUES(5,1,'seconds','0.75');
INSERT INTO "trial_user_attributes" VALUES(6,2,'train_loss','1.0');
INSERT INTO "trial_user_attributes" VALUES(7,2,'test_loss','1.0');
INSERT INTO "trial_user_attributes" VALUES(8,2,'diverged','false');
INSERT INTO "trial_user_attributes" VALUES(9,2,'diverged_epoch','null');
INSERT INTO "trial_user_attributes" VALUES(10,2,'seconds','0.75');
CREATE TABLE trial_values (
	trial_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	value FLOAT, 
	value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_value_id), 
	UNIQUE (trial_id, objective), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_values" VALUES(1,1,0,0.0,'FINITE');
INSERT INTO "trial_values" VALUES(2,2,0,1.0,'FINITE');
CREATE TABLE trials (
	trial_id INTEGER NOT NULL, 
	number INTEGER, 
	study_id INTEGER, 
	state VARCHAR(8) NOT NULL, 
	datetime_start DATETIME, 
	datetime_complete DATETIME, 
	PRIMARY KEY (trial_id), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "trials" VALUES(1,0,1,'COMPLETE','2026-11-29 06:20:18.967707','2026-11-29 06:20:18.979029');
INSERT INTO "trials" VALUES(2,1,1,'COMPLETE','2026-11-29 06:20:18.967707','2026-11-29 06:20:18.979029');
INSERT INTO "trials" VALUES(3,2,1,'WAITING',NULL,NULL);
CREATE TABLE version_info (
	version_info_id INTEGER NOT NULL, 
	schema_version INTEGER, 
	library_version VARCHAR(256), 
	PRIMARY KEY (version_info_id), 
	CHECK (version_info_id=1)
);
INSERT INTO "version_info" VALUES(1,12,'5.0.0');
CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);
CREATE INDEX ix_trials_study_id ON trials (study_id);
CREATE INDEX ix_landscape_run_study_id ON landscape_run (study_id);
CREATE INDEX ix_landscape_witness_study_id ON landscape_witness (study_id);
CREATE INDEX landscape_chunk_queue ON landscape_chunk (study_id, state, expires);
CREATE INDEX ix_landscape_cell_chunk_id ON landscape_cell (chunk_id);
CREATE INDEX landscape_chunk_order ON landscape_chunk (study_id, state, attempts, falls, chunk_id);
COMMIT;
