/* SPDX-License-Identifier: GPL-2.0-or-later OR BSD-2-Clause */
/* Names every type of abi.h once, so that the compiler writes all of them into BTF for gen_abi.py. Never loaded. */
#include "abi.h"

struct {
	enum ebg_limit limit;
	enum ebg_mode mode;
	enum ebg_kind kind;
	enum ebg_verdict verdict;
	enum ebg_hook hook;
	enum ebg_counter counter;
	enum ebg_outage outage;
	enum ebg_reply reply;
	enum ebg_rule rule;
	enum ebg_hash hash;
	enum ebg_clone clone;
	enum ebg_both both;
	enum ebg_source source;
	enum ebg_protocol protocol;
	enum ebg_answering answering;
	enum ebg_whereabouts whereabouts;
	enum ebg_place place;
	struct ebg_config config;
	struct ebg_net_key net_key;
	struct ebg_slice slice;
	struct ebg_name_rules name_rules;
	struct ebg_name name;
	struct ebg_port port;
	struct ebg_endpoint endpoint;
	struct ebg_run run;
	struct ebg_image image;
	struct ebg_member member;
	struct ebg_entered entered;
	struct ebg_leaving leaving;
	struct ebg_denial denial;
	struct ebg_observation observation;
	struct ebg_record record;
	struct ebg_heard_key heard_key;
	struct ebg_heard heard;
	struct ebg_alias alias;
	struct ebg_refusal refusal;
	struct ebg_question question;
	struct ebg_asked asked;
	struct ebg_pending pending;
	struct ebg_inode inode;
	struct ebg_open_file open_file;
	struct ebg_filesystem filesystem;
	struct ebg_file_rule file_rule;
	struct ebg_filter filter;
} ebg_abi;
