/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <syslog.h>

#include "base/macro.h"

/* One event is one line: in the journal with structured fields and a message id when stderr is connected to it
 * ($JOURNAL_STREAM, systemd.exec(5)), as plain text on stderr otherwise. With ECS_AUTHD_LOG=fields in the environment
 * the plain line ends with the fields. Nothing passed here may hold a secret. */

/* The message ids, for MESSAGE_ID=; the text for each stands in units/ecs-authd.catalog. */
#define MESSAGE_WATCHING "5317678a9a994c93a536c6e1397cbe5c"
#define MESSAGE_RELOADED "f5d6aaa1352a4263a723e28da0ccf88c"
#define MESSAGE_SETTINGS_KEPT "463a57268ad04b3e84c0c22fa5ddf9c7"
#define MESSAGE_WRITTEN "5f60781c3c1f436d98cd8350c2bfd118"
#define MESSAGE_REMOVED "5f4d779b10db45438a7112b4b75269ad"
#define MESSAGE_PROBLEM "ddbb7090440d4cf28e88e880f716d317"
#define MESSAGE_RESTARTING "549e54a351a64ed1bcacf6f9f9abccc5"
#define MESSAGE_JOB_FINISHED "dcaab186b83d4cf1aaa616ffa161dcca"
#define MESSAGE_JOB_FAILED "587baece44314740a9386156540602ab"
#define MESSAGE_LIVE "dc39d9c23f834a84bd4df26fe8d52315"
#define MESSAGE_WAITING "522c430e6e6a42bd8a8c28d609cccd65"
#define MESSAGE_HELD_TASKS "f17b0b582d8344cb8d25f20d3b81c934"
#define MESSAGE_HELD_ENGINE "bf5ed35229604a1d84c29585b0b5361b"
#define MESSAGE_HELD_BUS "2eccf5d9a7a24a4c80c330162c874452"
#define MESSAGE_HELD_UNIT "988c87ba31424ddeb0f5008a1df42a39"
#define MESSAGE_HELD_STOPPED "166ebd04c72d4a23bc20c224659bbf00"
#define MESSAGE_HELD_FAILED "25b9347c8bb4407dbebaaf2b71d5fd5b"
#define MESSAGE_HELD_REFUSED "5712a225009d407b9ec05fadf1942460"
#define MESSAGE_HELD_FILE "ee94206d19ac4088aa0cb0521d4880fd"
#define MESSAGE_HELD_RECORD "8ceb7d6689204a1db4f116dae9521224"
#define MESSAGE_HELD_FRUITLESS "8511f8c6b37f449c9f7311a57c206d75"
#define MESSAGE_SILENT "2121d2174d9f433aa37e4075fc7e1286"
#define MESSAGE_STARTING "2032cfedc8f04eabb5a7bc35386cd5cf"
#define MESSAGE_NO_EFFECT "c2930d5fd51e45489d4ec358ddb1b979"

typedef struct LogField {
        const char *name; /* without the prefix ECS_AUTHD_ */
        const char *value;
} LogField;

#define LOG_FIELDS(...) ((const LogField[]){__VA_ARGS__, {NULL, NULL}})

void log_event(int level, const char *message_id, const LogField *fields, const char *format, ...) _printf_(4, 5);

/* For what has neither fields nor an id of its own. */
#define log_info(...) log_event(LOG_INFO, NULL, NULL, __VA_ARGS__)
#define log_warning(...) log_event(LOG_WARNING, NULL, NULL, __VA_ARGS__)
#define log_error(...) log_event(LOG_ERR, NULL, NULL, __VA_ARGS__)
