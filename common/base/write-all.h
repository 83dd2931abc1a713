/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/macro.h"

/* All n bytes, however many write(2) takes at a time. Negative errno as write(2), with any part of them written. */
int write_all(int fd, const char *text, size_t n);
