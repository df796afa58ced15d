import fifobus

with fifobus.Client() as client:
    client.subscribe("greetings/**")
    client.publish("greetings/python", "Hello from Python")
    for message in client:
        print(f"{message.topic}: {message.payload.decode()}")
        break
