#include "CCurl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>

/* curl.h wraps some of these names in macros that check types. */
#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt

#define FUNCTIONS(X)                                                                           \
  X(curl_global_init) X(curl_easy_init) X(curl_easy_cleanup) X(curl_easy_setopt)               \
  X(curl_easy_getinfo) X(curl_easy_strerror) X(curl_multi_init) X(curl_multi_add_handle)       \
  X(curl_multi_remove_handle) X(curl_multi_perform) X(curl_multi_poll) X(curl_multi_wakeup)    \
  X(curl_multi_info_read) X(curl_multi_setopt) X(curl_slist_append) X(curl_slist_free_all)

#define DECLARE(name) static __typeof__(name) *name##_;
FUNCTIONS(DECLARE)

static const char *failure;

static void load(void) {
  /* Debian has the library once with each of OpenSSL and GnuTLS; either will do. */
  static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4"};
  void *library = NULL;
  for (size_t i = 0; i < sizeof names / sizeof *names && !library; i++)
    library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    failure = "libcurl is not installed (Debian: apt-get install libcurl4)";
    return;
  }
#define FIND(name)                                                       \
  if (!(name##_ = (__typeof__(name##_))dlsym(library, #name))) {         \
    failure = "libcurl is older than 7.68: it has no " #name;            \
    return;                                                              \
  }
  FUNCTIONS(FIND)
  if (curl_global_init_(CURL_GLOBAL_DEFAULT) != CURLE_OK) failure = "libcurl cannot begin";
}

const char *volpipe_curl_load(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, load);
  return failure;
}

CURL *volpipe_curl_easy_init(void) { return curl_easy_init_(); }
void volpipe_curl_easy_cleanup(CURL *easy) { curl_easy_cleanup_(easy); }
CURLM *volpipe_curl_multi_init(void) { return curl_multi_init_(); }
CURLMcode volpipe_curl_multi_add(CURLM *multi, CURL *easy) {
  return curl_multi_add_handle_(multi, easy);
}
CURLMcode volpipe_curl_multi_remove(CURLM *multi, CURL *easy) {
  return curl_multi_remove_handle_(multi, easy);
}
CURLMcode volpipe_curl_multi_perform(CURLM *multi, int *running) {
  return curl_multi_perform_(multi, running);
}
CURLMcode volpipe_curl_multi_poll(CURLM *multi, int milliseconds) {
  return curl_multi_poll_(multi, NULL, 0, milliseconds, NULL);
}
CURLMcode volpipe_curl_multi_wakeup(CURLM *multi) { return curl_multi_wakeup_(multi); }
struct curl_slist *volpipe_curl_slist_append(struct curl_slist *list, const char *line) {
  return curl_slist_append_(list, line);
}
void volpipe_curl_slist_free(struct curl_slist *list) { curl_slist_free_all_(list); }
const char *volpipe_curl_strerror(CURLcode code) { return curl_easy_strerror_(code); }

CURL *volpipe_curl_multi_ended(CURLM *multi, CURLcode *code) {
  int left;
  CURLMsg *message;
  while ((message = curl_multi_info_read_(multi, &left)))
    if (message->msg == CURLMSG_DONE) {
      *code = message->data.result;
      return message->easy_handle;
    }
  return NULL;
}

CURLcode volpipe_curl_set_number(CURL *easy, CURLoption option, long value) {
  return curl_easy_setopt_(easy, option, value);
}
CURLcode volpipe_curl_set_size(CURL *easy, CURLoption option, curl_off_t value) {
  return curl_easy_setopt_(easy, option, value);
}
CURLcode volpipe_curl_set_text(CURL *easy, CURLoption option, const char *value) {
  return curl_easy_setopt_(easy, option, value);
}
CURLcode volpipe_curl_set_pointer(CURL *easy, CURLoption option, void *value) {
  return curl_easy_setopt_(easy, option, value);
}
CURLMcode volpipe_curl_multi_set_number(CURLM *multi, CURLMoption option, long value) {
  return curl_multi_setopt_(multi, option, value);
}
long volpipe_curl_get_number(CURL *easy, CURLINFO info) {
  long value = 0;
  curl_easy_getinfo_(easy, info, &value);
  return value;
}

CURLcode volpipe_curl_set_callbacks(CURL *easy, volpipe_curl_data body, volpipe_curl_data header,
                                    volpipe_curl_data source, volpipe_curl_seek seek,
                                    void *context) {
  curl_easy_setopt_(easy, CURLOPT_WRITEFUNCTION, body);
  curl_easy_setopt_(easy, CURLOPT_WRITEDATA, context);
  curl_easy_setopt_(easy, CURLOPT_HEADERFUNCTION, header);
  curl_easy_setopt_(easy, CURLOPT_HEADERDATA, context);
  curl_easy_setopt_(easy, CURLOPT_READFUNCTION, source);
  curl_easy_setopt_(easy, CURLOPT_READDATA, context);
  curl_easy_setopt_(easy, CURLOPT_SEEKFUNCTION, seek);
  return curl_easy_setopt_(easy, CURLOPT_SEEKDATA, context);
}
