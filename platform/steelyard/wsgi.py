import gc
import os

from django.core.wsgi import get_wsgi_application

from steelyard.web.unread import without_leftovers

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "steelyard.settings")
application = without_leftovers(get_wsgi_application())

# What is loaded by now stays for the life of the process: looking through it for garbage again and
# again takes some percent of each request.
gc.collect()
gc.freeze()
gc.set_threshold(20_000, 20, 100)
