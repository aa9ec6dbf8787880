"""A service under the OpenTelemetry SDK for Python: takes a request, calls another service, and sends its spans over OTLP.

neighbour.py COLLECTOR: writes `listening PORT`, ends when its input does.
GET /relay?url=URL answers with what URL answered.
"""

import sys
import threading
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry import baggage, propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

provider = TracerProvider(resource=Resource.create({"service.name": "neighbour"}))
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=sys.argv[1] + "/v1/traces")))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("neighbour")


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        path, _, query = self.path.partition("?")
        url = urllib.parse.parse_qs(query)["url"][0]
        context = propagate.extract({name.lower(): value for name, value in self.headers.items()})
        with tracer.start_as_current_span("GET " + path, context=context, kind=trace.SpanKind.SERVER) as span:
            span.set_attribute("seen.tenant", str(baggage.get_baggage("tenant", context)))
            with tracer.start_as_current_span("GET", kind=trace.SpanKind.CLIENT):
                headers = {}
                propagate.inject(headers)
                request = urllib.request.Request(url, headers=headers)
                opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
                with opener.open(request, timeout=20) as answer:
                    body = answer.read()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print("listening", server.server_address[1], flush=True)
sys.stdin.read()
provider.shutdown()
