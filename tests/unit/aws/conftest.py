from tests.support import aws as support

emulator = support.emulator
emulator_client = support.emulator_client
aws = support.aws
