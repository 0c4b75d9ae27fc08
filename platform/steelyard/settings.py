"""Every setting. Values come from the environment (``.env`` is read first); a wrong one is loud.

The table of settings for operators stands in ``platform/docs/operations.md``.
"""

import json
import os
import secrets
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured
from dotenv import load_dotenv

from steelyard.servers import paths

PACKAGE_DIR = Path(__file__).resolve().parent
ROOT = PACKAGE_DIR.parents[1]
load_dotenv(ROOT / ".env")


def env(name: str, default: str = "") -> str:
    """The variable, or the content of the file that ``NAME_FILE`` names."""
    if file := os.environ.get(f"{name}_FILE"):
        return Path(file).read_text().strip()
    return os.environ.get(name, default)


def env_bool(name: str, default: bool) -> bool:
    value = env(name, "1" if default else "0").lower()
    if value not in {"0", "1", "true", "false", "yes", "no"}:
        raise ImproperlyConfigured(f"{name} is {value!r}; it must be 1 or 0.")
    return value in {"1", "true", "yes"}


def env_int(name: str, default: int) -> int:
    value = env(name, str(default))
    if not value.lstrip("-").isdigit():
        raise ImproperlyConfigured(f"{name} is {value!r}; it must be a whole number.")
    return int(value)


def env_float(name: str, default: float) -> float:
    value = env(name, str(default))
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1e9:
        raise ImproperlyConfigured(f"{name} is {value!r}; it must be a number from 0 up.")
    return number


def env_devices(name: str) -> list[int] | None:
    """``0,1,3``, or ``none``; None where it is not said."""
    words = [word.strip() for word in env(name).split(",") if word.strip()]
    if words == ["none"]:
        return []
    if not all(word.isdigit() for word in words) or len(set(words)) < len(words):
        raise ImproperlyConfigured(
            f"{name} is {env(name)!r}; it must be the numbers of GPUs, as 0,1,3, or none."
        )
    return [int(word) for word in words] or None


def env_commands(name: str) -> dict[str, list[str]]:
    """JSON, ``{name: [program, argument, …]}``; no shell ever sees the words."""
    value = env(name, "{}")
    try:
        found = json.loads(value)
    except ValueError:
        found = None
    good = isinstance(found, dict) and all(
        isinstance(words, list) and words and all(isinstance(word, str) for word in words)
        for words in found.values()
    )
    if not good:
        raise ImproperlyConfigured(
            f"{name} is {value!r}; it must be JSON such as "
            '{"name": ["/path/to/python", "scorer.py"]}.'
        )
    return found


def database(url: str) -> dict[str, object]:
    """Django's form of ``postgres://user:password@host:port/name?host=/socket/folder``."""
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured(
            f"DATABASE_URL begins with {parts.scheme or 'nothing'}://; it must be postgres://."
        )
    options = dict(parse_qsl(parts.query))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", parts.hostname or ""),
        "PORT": str(parts.port or ""),
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {**options, "pool": {"min_size": 1, "max_size": 8, "timeout": 20}},
    }


def secret_key(data: Path) -> str:
    """The secret of this installation: given, or made once and kept in the data folder."""
    if given := env("STEELYARD_SECRET_KEY"):
        return given
    path = data / "secret_key"
    if not path.exists():
        data.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return path.read_text()
        with os.fdopen(handle, "w") as stream:
            stream.write(secrets.token_urlsafe(48))
    return path.read_text()


DATA_DIR = paths.data_dir()
DEBUG = env_bool("STEELYARD_DEBUG", False)
SECRET_KEY = secret_key(DATA_DIR)
ALLOWED_HOSTS = env("STEELYARD_ALLOWED_HOSTS", "*").split(",")
CSRF_TRUSTED_ORIGINS = [o for o in env("STEELYARD_TRUSTED_ORIGINS").split(",") if o]
RUNS_DIR = DATA_DIR / "runs"
VERSIONS_DIR = DATA_DIR / "versions"
MODELS_DIR = DATA_DIR / "models"
BLOBS_DIR = DATA_DIR / "blobs"

INSTALLED_APPS = [
    "steelyard",
    "steelyard.web",
    "steelyard.accounts",
    "steelyard.projects",
    "steelyard.assets",
    "steelyard.webhooks",
    "steelyard.runs",
    "steelyard.registry",
    "annotation",
    "training",
    "evaluation",
    "steelyard.demo",
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django_htmx",
    "template_partials",
    "rest_framework",
    "drf_spectacular",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "steelyard.web.static.StaticFilesMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "steelyard.web.conditional.ConditionalMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "steelyard.accounts.middleware.LanguageMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "steelyard.web.middleware.BodySizeMiddleware",
    "steelyard.web.middleware.SignInAgainMiddleware",
    "steelyard.accounts.middleware.OwnPasswordMiddleware",
    "steelyard.web.middleware.UserErrorMiddleware",
]

ROOT_URLCONF = "steelyard.urls"
WSGI_APPLICATION = "steelyard.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "django.template.context_processors.i18n",
            ],
            "builtins": ["steelyard.web.templatetags.steelyard"],
        },
    }
]

DATABASES = {"default": database(env("DATABASE_URL") or paths.database_url(DATA_DIR))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "accounts.User"
LOGIN_URL = "accounts:sign-in"
LOGIN_REDIRECT_URL = "projects:home"
LOGOUT_REDIRECT_URL = "accounts:sign-in"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
SESSION_COOKIE_AGE = 60 * 60 * 24 * 30

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]  # each in its own words
LOCALE_PATHS = [ROOT / "locale"]
LANGUAGE_COOKIE_NAME = "language"
LANGUAGE_COOKIE_AGE = 60 * 60 * 24 * 365
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATICFILES_DIRS = [p for p in [ROOT / "static"] if p.is_dir()]
# WhiteNoise serves by finders what lies in static/; nothing is collected, so there is no root,
# and a folder that is named here and not there is complained of at each start.
STATIC_ROOT = None
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG
STATIC_CACHE_DIR = DATA_DIR / "static"  # compressed copies, named by content
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "steelyard.web.static.VersionedStorage"},
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 64 * 1024 * 1024
MAX_UPLOAD_BYTES = env_int("STEELYARD_MAX_UPLOAD_MIB", 1024) * 1024 * 1024

CELERY_BROKER_URL = env("CELERY_BROKER_URL") or paths.broker_url(DATA_DIR)
# Requests are counted in Redis or Valkey: the broker, where that is one.
LIMITS_URL = env("STEELYARD_LIMITS_URL") or (
    CELERY_BROKER_URL if CELERY_BROKER_URL.startswith("redis") else ""
)
REQUESTS_OF_TOKEN = env_int("STEELYARD_REQUESTS_OF_TOKEN", 6000)
REQUESTS_OF_ADDRESS = env_int("STEELYARD_REQUESTS_OF_ADDRESS", 30_000)
# Questions a minute in arenas: of one visitor, and of all who come from one address.
ARENA_QUESTIONS = env_int("STEELYARD_ARENA_QUESTIONS", 6)
ARENA_QUESTIONS_OF_ADDRESS = env_int("STEELYARD_ARENA_QUESTIONS_OF_ADDRESS", 30)
WEBHOOKS_PRIVATE = env_bool("STEELYARD_WEBHOOKS_PRIVATE", False)
# Read where an endpoint is asked, which is a process that knows no settings; see lib.addresses.
PRIVATE_ENDPOINTS = os.environ.get("STEELYARD_PRIVATE_ENDPOINTS", "")
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
# Every task is short (the run's length is spent in a process of its own), so a lost one may come
# back after minutes; the reconciler does not wait for it.
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 600,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
}
# tasks of a part of a room, which its app's own tasks.py does not name
CELERY_IMPORTS = ["training.sweeps.tasks", "evaluation.tasks_following"]
CELERY_BEAT_SCHEDULE = {
    "reconcile-runs": {
        "task": "steelyard.runs.tasks.reconcile_runs",
        "schedule": 2.0,
        "options": {"expires": 10},
    },
    "advance-evaluations": {
        "task": "evaluation.tasks.advance_evaluations",
        "schedule": 10.0,
        "options": {"expires": 60},
    },
    "begin-wanted-rounds": {
        "task": "evaluation.tasks_following.begin_wanted_rounds",
        "schedule": 10.0,
        "options": {"expires": 60},
    },
    "advance-sweeps": {
        "task": "training.sweeps.tasks.advance_sweeps",
        "schedule": 5.0,
        "options": {"expires": 30},
    },
    "make-renditions": {
        "task": "steelyard.assets.tasks.make_renditions",
        "schedule": 15.0,
        "options": {"expires": 30},
    },
    "deliver-webhooks": {
        "task": "steelyard.webhooks.tasks.deliver_due",
        "schedule": 10.0,
        "options": {"expires": 30},
    },
    "forget-old-deliveries": {
        "task": "steelyard.webhooks.tasks.forget_old_deliveries",
        "schedule": 3600.0,
        "options": {"expires": 3600},
    },
    "trim-cache": {
        "task": "training.tasks.trim_cache",
        "schedule": 900.0,
        "options": {"expires": 900},
    },
    "gather-battles": {
        "task": "annotation.tasks.gather_battles",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "free-abandoned-leases": {
        "task": "annotation.tasks.free_abandoned_leases",
        "schedule": 30.0,
        "options": {"expires": 60},
    },
}

# What a run of each kind means, named as strings so that the spine imports no room.
RUN_KINDS = {
    "train": "training.runner",
    "preflight": "training.preflight_runner",
    "try": "training.try_runner",
    "judge": "annotation.runner",
    "check_judge": "annotation.check_runner",
    "tune_judge": "annotation.tune_runner",
    "explain": "annotation.explain_runner",
    "score": "annotation.score_runner",
    "freeze": "annotation.freeze_runner",
    "import": "annotation.import_runner",
    "export": "annotation.export_runner",
    "generate": "evaluation.runner",
    "pair_up": "evaluation.runner",
    "round": "evaluation.round_runner",
    "pipeline_search": "evaluation.search_runner",
    "revisions": "evaluation.revisions_runner",
    "arena": "evaluation.arena_runner",
    "demo": "steelyard.demo.runner",
}
MAX_RUNS_AT_ONCE = env_int("STEELYARD_MAX_RUNS", 2)
# So many prompts of each part of the demo; 0 for all.
DEMO_PROMPTS = env_int("STEELYARD_DEMO_PROMPTS", 0)
# They load no model, so they have places of their own and never wait behind a long training.
LIGHT_RUNS = {"import", "export", "freeze", "pair_up"}
MAX_LIGHT_RUNS_AT_ONCE = env_int("STEELYARD_MAX_LIGHT_RUNS", 2)
# Somebody sits before the page and waits, so these have places besides all others.
ARENA_RUNS = {"arena"}
MAX_ARENA_RUNS_AT_ONCE = env_int("STEELYARD_MAX_ARENA_RUNS", 2)
# Done in seconds, so they wait for no place and take none.
RUNS_WITHOUT_PLACE = {"preflight"}
# Their engines go on from a checkpoint, so they can be paused, and tried again after a failure.
PAUSABLE_RUNS = {"train"}
# These go on after what they have written, so a failed one can be tried again too.
RETRIABLE_RUNS = {"judge", "explain", "tune_judge", "revisions"}
GPUS = env_devices("STEELYARD_GPUS")
SCORERS = env_commands("STEELYARD_SCORERS")
CACHE_GIB = env_float("STEELYARD_CACHE_GIB", 50)
RAY_ADDRESS = env("STEELYARD_RAY_ADDRESS")
RAY_QUEUE_MINUTES = env_int("STEELYARD_RAY_QUEUE_MINUTES", 60)
GPU_HOUR_PRICE = env_float("STEELYARD_GPU_HOUR_PRICE", 0)
CURRENCY = env("STEELYARD_CURRENCY", "EUR")

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "steelyard.accounts.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": [
        "rest_framework.permissions.IsAuthenticated",
        "steelyard.accounts.scopes.HasScope",
        "steelyard.web.parameters.KnownParameters",
    ],
    "DEFAULT_THROTTLE_CLASSES": ["steelyard.accounts.throttling.RequestLimits"],
    "DEFAULT_SCHEMA_CLASS": "steelyard.web.schema.ApiSchema",
    "DEFAULT_PAGINATION_CLASS": "steelyard.web.pagination.ApiPagination",
    "EXCEPTION_HANDLER": "steelyard.web.api.exception_handler",
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": [
        "steelyard.web.parsers.JSONParser",
        "rest_framework.parsers.MultiPartParser",
    ],
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Steelyard API",
    "DESCRIPTION": "Preferences in, better models out.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "steelyard.web.schema.add_problems",
    ],
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_NAME_OVERRIDES": {
        "MessageRoleEnum": "annotation.serializers.messages.ROLES",
        "RoleEnum": "steelyard.projects.models.Role",
        "RunStateEnum": "steelyard.runs.models.RunState",
        "EvaluationStateEnum": "evaluation.models.Evaluation.State",
        "SweepStateEnum": "training.sweeps.models.SweepState",
        "AnnotatorKindEnum": "annotation.models.Annotator.Kind",
        "FlagStateEnum": "annotation.models.Flag.State",
        "OutcomeEnum": "annotation.models.Outcome",
        "KnownOutcomeEnum": "annotation.models.Outcome.known",
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env("STEELYARD_LOG_LEVEL", "INFO")},
}
