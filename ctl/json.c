/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "core/utf8.h"
#include "text.h"

json_object *json_bytes(const void *bytes, size_t n)
{
	const unsigned char *p = bytes;
	json_object *array;

	if (dg_utf8_is_valid(p, n) && (n == 0 || !memchr(p, '\0', n)))
		return json_object_new_string_len(n > 0 ? bytes : "", (int)n);

	array = json_object_new_array();
	for (size_t i = 0; array && i < n; i++)
		json_object_array_add(array, json_object_new_int(p[i]));
	return array;
}

static int read_basic(sd_bus_message *m, char type, json_object **ret)
{
	union {
		uint8_t y;
		int b;
		int16_t n;
		uint16_t q;
		int32_t i;
		uint32_t u;
		int64_t x;
		uint64_t t;
		double d;
		const char *s;
	} value;
	json_object *object;
	int r = sd_bus_message_read_basic(m, type, &value);

	if (r < 0)
		return r;

	switch (type) {
	case 'y':
		object = json_object_new_int(value.y);
		break;
	case 'b':
		object = json_object_new_boolean(value.b);
		break;
	case 'n':
		object = json_object_new_int(value.n);
		break;
	case 'q':
		object = json_object_new_int(value.q);
		break;
	case 'i':
		object = json_object_new_int(value.i);
		break;
	case 'u':
		object = json_object_new_int64(value.u);
		break;
	case 'x':
		object = json_object_new_int64(value.x);
		break;
	case 't':
		object = json_object_new_uint64(value.t);
		break;
	case 'd':
		object = json_object_new_double(value.d);
		break;
	case 's':
	case 'o':
	case 'g':
		object = json_object_new_string(value.s);
		break;
	default:
		return -EBADMSG;
	}
	if (!object)
		return -ENOMEM;
	*ret = object;
	return 0;
}

static int read_dict(sd_bus_message *m, const char *contents, json_object **ret)
{
	json_object *object = json_object_new_object();
	int r;

	if (!object)
		return -ENOMEM;
	r = sd_bus_message_enter_container(m, 'a', contents);

	while (r >= 0 && (r = sd_bus_message_at_end(m, 0)) == 0) {
		json_object *value;
		const char *key;

		r = sd_bus_message_enter_container(m, 'e', NULL);
		if (r >= 0)
			r = sd_bus_message_read_basic(m, 's', &key);
		if (r >= 0)
			r = json_read(m, &value);
		if (r >= 0) {
			json_object_object_add(object, key, value);
			r = sd_bus_message_exit_container(m);
		}
	}
	if (r >= 0)
		r = sd_bus_message_exit_container(m);
	if (r < 0) {
		json_object_put(object);
		return r;
	}
	*ret = object;
	return 0;
}

static int read_list(sd_bus_message *m, char type, const char *contents, json_object **ret)
{
	json_object *array = json_object_new_array();
	int r;

	if (!array)
		return -ENOMEM;
	r = sd_bus_message_enter_container(m, type, contents);

	while (r >= 0 && (r = sd_bus_message_at_end(m, 0)) == 0) {
		json_object *item;

		r = json_read(m, &item);
		if (r >= 0)
			json_object_array_add(array, item);
	}
	if (r >= 0)
		r = sd_bus_message_exit_container(m);
	if (r < 0) {
		json_object_put(array);
		return r;
	}
	*ret = array;
	return 0;
}

static int read_bytes(sd_bus_message *m, json_object **ret)
{
	const void *bytes;
	size_t n;
	int r = sd_bus_message_read_array(m, 'y', &bytes, &n);

	if (r < 0)
		return r;
	*ret = json_bytes(bytes, n);
	return *ret ? 0 : -ENOMEM;
}

int json_read(sd_bus_message *m, json_object **ret)
{
	const char *contents;
	char type;
	int r = sd_bus_message_peek_type(m, &type, &contents);

	if (r < 0)
		return r;
	if (r == 0)
		return -ENXIO;

	switch (type) {
	case 'a':
		if (strcmp(contents, "y") == 0)
			return read_bytes(m, ret);
		return contents[0] == '{' ? read_dict(m, contents, ret)
					  : read_list(m, 'a', contents, ret);
	case 'r':
		return read_list(m, 'r', contents, ret);
	case 'v':
		r = sd_bus_message_enter_container(m, 'v', contents);
		if (r < 0)
			return r;
		r = json_read(m, ret);
		if (r < 0)
			return r;
		r = sd_bus_message_exit_container(m);
		if (r < 0)
			json_object_put(*ret);
		return r < 0 ? r : 0;
	default:
		return read_basic(m, type, ret);
	}
}

json_object *json_get(json_object *object, const char *key)
{
	json_object *value = NULL;

	if (!json_object_is_type(object, json_type_object))
		return NULL;
	json_object_object_get_ex(object, key, &value);
	return value;
}

const char *json_str(json_object *object, const char *key)
{
	json_object *value = json_get(object, key);
	const char *word;

	if (!json_object_is_type(value, json_type_string))
		return "";
	word = json_object_get_string(value);
	return text_is_safe(word) ? word : "";
}

uint64_t json_num(json_object *object, const char *key)
{
	json_object *value = json_get(object, key);

	return json_object_is_type(value, json_type_int) ? json_object_get_uint64(value) : 0;
}

bool json_flag(json_object *object, const char *key)
{
	json_object *value = json_get(object, key);

	return json_object_is_type(value, json_type_boolean) && json_object_get_boolean(value);
}

bool json_is_failure(json_object *object)
{
	return strcmp(json_str(object, "Kind"), "memory-failure") == 0;
}

size_t json_length(json_object *list)
{
	return json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
}

json_object *json_at(json_object *list, size_t index)
{
	return index < json_length(list) ? json_object_array_get_idx(list, index) : NULL;
}

size_t json_count(json_object *object, const char *key)
{
	return json_length(json_get(object, key));
}

json_object *json_item(json_object *object, const char *key, size_t index)
{
	return json_at(json_get(object, key), index);
}

char *json_value_text(json_object *value)
{
	size_t n;
	char *bytes, *text;

	if (!json_object_is_type(value, json_type_array)) {
		const char *s = value ? json_object_get_string(value) : "";

		return text_escape(s, strlen(s));
	}

	n = json_object_array_length(value);
	bytes = malloc(n + 1);
	if (!bytes)
		return NULL;
	for (size_t i = 0; i < n; i++)
		bytes[i] = (char)json_object_get_int(json_object_array_get_idx(value, i));
	text = text_escape(bytes, n);
	free(bytes);
	return text;
}

char *json_text(json_object *object, const char *key)
{
	return json_value_text(json_get(object, key));
}

int json_print(FILE *f, enum ctl_json mode, const char *key, json_object *value)
{
	int flags;
	json_object *document = json_object_new_object();
	const char *text;

	if (!document)
		return -ENOMEM;
	json_object_object_add(document, "Schema", json_object_new_int(JSON_SCHEMA));
	json_object_object_add(document, key, json_object_get(value));

	flags = JSON_C_TO_STRING_NOSLASHESCAPE |
		(mode == CTL_JSON_PRETTY ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED
					 : JSON_C_TO_STRING_PLAIN);
	text = json_object_to_json_string_ext(document, flags);
	if (text)
		fprintf(f, "%s\n", text);
	json_object_put(document);
	if (!text)
		return -ENOMEM;
	return ferror(f) ? -EIO : 0;
}
