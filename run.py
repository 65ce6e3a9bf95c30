"""The entry: `python run.py` serves, `python run.py --help` tells the rest."""

if __name__ == "__main__":  # the processes that decode pictures import this file again, and must not serve
    from app.cli import run

    run()
