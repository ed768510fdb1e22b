// The functions that need no provider: fetching one takes longer than most digests here do.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/md5.h>
#include <openssl/sha.h>
#include <openssl/evp.h>
