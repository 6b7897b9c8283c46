"""The endpoints of the template API: permission, request validation, one call into `authoring`, response.

May import the serializers and every layer below. Must not compile or render by itself, and turns each ContentError
into a 400 that names the field.
"""
