"""The site's table of contents. Rooms are named as strings."""

from django.contrib.auth.decorators import login_not_required
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.views import SpectacularAPIView

from steelyard import overview
from steelyard.web.api import no_such_route
from steelyard.web.catalogue import catalogue

api = [
    # patterns are tried in turn, and nothing is asked as often as the labelling calls
    path("", include("annotation.api_urls")),
    path("", include("steelyard.accounts.api_urls")),
    path("", include("steelyard.projects.api_urls")),
    path("", include("steelyard.assets.api_urls")),
    path("", include("steelyard.registry.api_urls")),
    path("", include("steelyard.runs.api_urls")),
    path("", include("steelyard.webhooks.api_urls")),
    path("", include("training.api_urls")),
    path("", include("evaluation.api_urls")),
]

handler400 = "steelyard.web.api.bad_request"
handler404 = "steelyard.web.api.not_found"
handler500 = "steelyard.web.api.server_error"
urlpatterns = [
    path("api/v1/", include((api, "api"))),
    path("", include("steelyard.projects.urls")),
    path("account/", include("steelyard.accounts.urls")),
    path("words/<str:language>-<str:state>.js", catalogue, name="words"),
    path("assets/", include("steelyard.assets.urls")),
    path("arena/", include("evaluation.arena_urls")),
    path("p/<slug:project>/overview/", overview.project_overview, name="project-overview"),
    path("p/<slug:project>/progress/", overview.project_progress, name="project-progress"),
    path("p/<slug:project>/", include("annotation.urls")),
    path("p/<slug:project>/", include("steelyard.registry.urls")),
    path("p/<slug:project>/", include("steelyard.runs.urls")),
    path("p/<slug:project>/", include("steelyard.webhooks.urls")),
    path("p/<slug:project>/", include("training.urls")),
    path("p/<slug:project>/", include("evaluation.urls")),
    path("api/v1/schema/", login_not_required(SpectacularAPIView.as_view()), name="api-schema"),
    path("api/<path:path>", csrf_exempt(login_not_required(no_such_route))),
]
