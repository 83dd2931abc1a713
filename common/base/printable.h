/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Puts a '?' in place of what a terminal or a reader of a log might take for more than text: control characters (C0,
 * C1, DEL), those that turn the direction of writing, and bytes that are not UTF-8. */
void make_printable(char *s);
