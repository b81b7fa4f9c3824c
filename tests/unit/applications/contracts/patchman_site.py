"""Patchman's settings, from the environment."""

import os

from patchman.settings import *  # noqa: F403

DEBUG = False
SECRET_KEY = os.environ["SECRET_KEY"]
ALLOWED_HOSTS = os.environ["ALLOWED_HOSTS"].split(",")
CSRF_TRUSTED_ORIGINS = ["https://" + host for host in ALLOWED_HOSTS]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
TIME_ZONE = "UTC"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ["DB_NAME"],
        "USER": os.environ["DB_USER"],
        "PASSWORD": os.environ["DB_PASSWORD"],
        "HOST": os.environ["DB_HOST"],
        "PORT": os.environ["DB_PORT"],
        "DISABLE_SERVER_SIDE_CURSORS": True,
    }
}
CELERY_BROKER_URL = os.environ["CELERY_BROKER_URL"]
CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": os.environ["REDIS_CACHE_URL"]}}
STATIC_URL = "/static/"
STATIC_ROOT = os.environ["STATIC_ROOT"]
LOGIN_REDIRECT_URL, LOGOUT_REDIRECT_URL, LOGIN_URL = "/", "/login/", "/login/"
