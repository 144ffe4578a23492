from django.http import JsonResponse
from django.db import transaction

PAGE_SIZE = 0
OPTIONS = {"pool": None, "timeout": 0}


@transaction.atomic
def create_order(request):
    return JsonResponse({"password": "is required"}, status=400)
