# The demo for whoever reaches port 7860, without a login and without PyTorch:
#   docker build -t chexnet . && docker run --rm -p 7860:7860 chexnet
FROM python:3.11-slim
WORKDIR /app
COPY requirements-demo.txt constraints.txt ./
RUN pip install --no-cache-dir --disable-pip-version-check -r requirements-demo.txt
COPY chexnet chexnet
COPY demo demo
COPY weights/starter.onnx weights/
RUN useradd --create-home demo
USER demo
EXPOSE 7860
HEALTHCHECK --start-period=60s --timeout=5s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:7860', timeout=4)"]
CMD ["python", "-m", "demo.app"]
