/* The part of libcurl that the S3 store uses. The library is loaded when the first bucket is opened:
   it and what it needs would make every other run of a tool start later. */
#ifndef VOLPIPE_CCURL_H
#define VOLPIPE_CCURL_H

#include <curl/curl.h>

/* Loads libcurl and begins it, once. NULL, or why it cannot be had. From any thread. */
const char *volpipe_curl_load(void);

/* The functions of these names; only after volpipe_curl_load has returned NULL. */
CURL *volpipe_curl_easy_init(void);
void volpipe_curl_easy_cleanup(CURL *easy);
CURLM *volpipe_curl_multi_init(void);
CURLMcode volpipe_curl_multi_add(CURLM *multi, CURL *easy);
CURLMcode volpipe_curl_multi_remove(CURLM *multi, CURL *easy);
CURLMcode volpipe_curl_multi_perform(CURLM *multi, int *running);
CURLMcode volpipe_curl_multi_poll(CURLM *multi, int milliseconds);
CURLMcode volpipe_curl_multi_wakeup(CURLM *multi);
struct curl_slist *volpipe_curl_slist_append(struct curl_slist *list, const char *line);
void volpipe_curl_slist_free(struct curl_slist *list);
const char *volpipe_curl_strerror(CURLcode code);

/* A transfer that has ended, with its code; NULL if there is none. */
CURL *volpipe_curl_multi_ended(CURLM *multi, CURLcode *code);

/* curl_easy_setopt and its like take a variable number of arguments, which Swift cannot call. */
CURLcode volpipe_curl_set_number(CURL *easy, CURLoption option, long value);
CURLcode volpipe_curl_set_size(CURL *easy, CURLoption option, curl_off_t value);
CURLcode volpipe_curl_set_text(CURL *easy, CURLoption option, const char *value);
CURLcode volpipe_curl_set_pointer(CURL *easy, CURLoption option, void *value);
CURLMcode volpipe_curl_multi_set_number(CURLM *multi, CURLMoption option, long value);
long volpipe_curl_get_number(CURL *easy, CURLINFO info);

typedef size_t (*volpipe_curl_data)(char *bytes, size_t size, size_t count, void *context);
typedef int (*volpipe_curl_seek)(void *context, curl_off_t offset, int origin);

/* What takes the body of a reply, what takes its header lines, what gives the body of a request and
   goes back in it, all with the same context. */
CURLcode volpipe_curl_set_callbacks(CURL *easy, volpipe_curl_data body, volpipe_curl_data header,
                                    volpipe_curl_data source, volpipe_curl_seek seek,
                                    void *context);

#endif
